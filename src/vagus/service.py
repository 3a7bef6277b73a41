"""Telling systemd that we live.

Vagus heals others; if its own loop hangs, nothing inside of it can tell. So every tick says that it
came, to whoever started this process, and where nothing is said for ``WatchdogSec`` the process is
ended and started again, which loses nothing. A standby says so too: it is alive, it just doesn't
lead. Where nobody asked to be told, nothing is.

Source: sd_notify(3), the protocol: one datagram of ``NAME=value`` lines to ``NOTIFY_SOCKET``.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def tell(*lines: str) -> None:
    """Say ``lines``; never blocks, never raises: a service manager that is away is no trouble of
    ours."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
        notifier.setblocking(False)
        notifier.sendto("\n".join(lines).encode(), address)


def status(text: str) -> str:
    """What ``systemctl status`` shows; one line."""
    return "STATUS=" + " ".join(text.split())
