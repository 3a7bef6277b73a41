"""Who sends, and of whom it speaks: attributes of a resource -> a subject of the stack.

Nobody names their services for Vagus, so several ways lead to a subject, the surest first: the
instance is a replica's name, or its address; the service is a component's name. Pods and workers
that come and go without a name in ``vagus.yaml`` belong to their component as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vagus.model import Subject
from vagus.topology import Topology

INSTANCE, SERVICE = "service.instance.id", "service.name"
HOST, PORT = "server.address", "server.port"
PEER = "peer.service"

_LOCAL = {"localhost": "127.0.0.1", "::1": "127.0.0.1", "[::1]": "127.0.0.1"}


class Senders:
    """Follows the topology; the answer to the same attributes may change with it."""

    def __init__(self, topology: Callable[[], Topology]) -> None:
        self._topology = topology
        self._known = topology()

    def topology(self) -> Topology:
        """The stack as it stands; the same object for as long as nothing in it changes."""
        now = self._topology()
        if now is not self._known and now != self._known:
            self._known = now
        return self._known

    def subject(self, told: Mapping[str, str]) -> Subject | None:
        """Who sends with these attributes of a resource; None if nobody of ours."""
        topology = self.topology()
        service, instance = told.get(SERVICE, ""), told.get(INSTANCE, "")
        node = topology.components.get(service)
        if node is not None and instance in node.replicas:
            return Subject(service, instance)
        found = topology.subject_at(_plain(instance)) or self.at(told.get(HOST), told.get(PORT))
        if found is not None and (node is None or node.name == found.component):
            return found
        if node is not None:
            return Subject(service)
        named = [s for s in topology.replicas() if s.replica == instance or s.replica == service]
        return named[0] if named else None

    def at(self, host: str | None, port: str | None) -> Subject | None:
        """Who listens at ``host`` and ``port``."""
        return self.topology().subject_at(_plain(f"{host}:{port}")) if host and port else None

    def callee(self, told: Mapping[str, str]) -> str | None:
        """The component that a call with these attributes went to; None if it is none of ours."""
        found = self.at(told.get(HOST), told.get(PORT))
        if found is not None:
            return found.component
        for name in (told.get(PEER), told.get(HOST)):
            if name in self.topology().components:
                return name
        return None


def _plain(authority: str) -> str:
    host, colon, port = authority.rpartition(":")
    return f"{_LOCAL.get(host, host)}{colon}{port}"
