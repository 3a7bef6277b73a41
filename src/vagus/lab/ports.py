"""Whether the lab's ports are free: asked before anything starts, so that nothing half starts."""

from __future__ import annotations

import socket

from vagus.errors import LabError
from vagus.lab.settings import HOST, LabSettings


def port_free(port: int) -> bool:
    """Whether a server could listen on ``port`` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def check_ports(settings: LabSettings) -> None:
    """Raise for the first port of the lab that something listens on."""
    for owner, port in settings.ports_at_start():
        if not port_free(port):
            raise LabError(
                f"port {port} (of {owner}) is in use",
                mend="end what uses it (vagus lab down?), or move the lab with --offset",
            )
