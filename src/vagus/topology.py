"""What the stack consists of: components, their replicas, and who depends on whom.

A topology is a value. The stack as declared is one; when a replica is added or taken away, the
overrides give another (:meth:`Topology.with_members`), and whoever needs the present one is given
a function that returns it. Edges are only declared ones so far; observed and proven ones will
carry their sources beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from vagus._engines import Metrics
from vagus.config import Kind, Settings
from vagus.model import Aspect, Override, Subject


@dataclass(frozen=True)
class ComponentNode:
    """One service of the stack as it stands now."""

    name: str
    kind: Kind
    engine: str
    replicas: Mapping[str, str]  # name -> address
    depends_on: tuple[str, ...] = ()
    metrics_path: str = "/metrics"
    metrics: Metrics = field(default_factory=dict)  # the user's own, beside the engine's dialect
    model: str | None = None
    restartable: bool = False  # somebody can start and stop its processes
    collections: tuple[str, ...] = ()  # of a store: those that are watched


@dataclass(frozen=True)
class Topology:
    components: Mapping[str, ComponentNode]
    _by_authority: Mapping[str, Subject] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = {
            authority(address): Subject(node.name, replica)
            for node in self.components.values()
            for replica, address in node.replicas.items()
        }
        object.__setattr__(self, "_by_authority", index)

    @classmethod
    def declared(cls, settings: Settings) -> Topology:
        return cls(
            {
                name: ComponentNode(
                    name=name,
                    kind=spec.kind,
                    engine=spec.engine,
                    replicas=dict(spec.replicas),
                    depends_on=spec.depends_on,
                    metrics_path=spec.metrics_path,
                    metrics=spec.metrics,
                    model=spec.model,
                    restartable=spec.runtime is not None,
                    collections=spec.collections,
                )
                for name, spec in settings.stack.items()
            }
        )

    def with_members(self, overrides: Iterable[Override]) -> Topology:
        """The stack with replicas added and removed by ``overrides`` of aspect MEMBER."""
        changed: dict[str, dict[str, str]] = {}
        for row in overrides:
            if row.aspect is not Aspect.MEMBER or row.subject.component not in self.components:
                continue
            component = row.subject.component
            replicas = changed.setdefault(component, dict(self.components[component].replicas))
            if row.value:
                replicas[row.subject.replica] = row.value
            else:
                replicas.pop(row.subject.replica, None)
        if not changed:
            return self
        return Topology(
            {
                name: replace(node, replicas=changed[name]) if name in changed else node
                for name, node in self.components.items()
            }
        )

    def replicas(self) -> tuple[Subject, ...]:
        return tuple(
            Subject(node.name, replica)
            for node in self.components.values()
            for replica in node.replicas
        )

    def collections(self) -> tuple[Subject, ...]:
        """Collections of stores: subjects as replicas are, that no traffic is routed by."""
        return tuple(
            Subject(node.name, name)
            for node in self.components.values()
            for name in node.collections
        )

    def siblings(self, subject: Subject) -> tuple[Subject, ...]:
        """The other replicas of the same component."""
        node = self.components.get(subject.component)
        if node is None:
            return ()
        return tuple(Subject(node.name, r) for r in node.replicas if r != subject.replica)

    def address(self, subject: Subject) -> str | None:
        node = self.components.get(subject.component)
        return node.replicas.get(subject.replica) if node else None

    def subject_at(self, host_and_port: str) -> Subject | None:
        """Who answers at ``host:port`` now."""
        return self._by_authority.get(host_and_port)

    def depends(self, caller: str, callee: str) -> bool:
        """Whether ``caller`` needs ``callee``, directly or through others."""
        pending, seen = [caller], {caller}
        while pending:
            node = self.components.get(pending.pop())
            for other in node.depends_on if node else ():
                if other == callee:
                    return True
                if other not in seen:
                    seen.add(other)
                    pending.append(other)
        return False


def authority(address: str) -> str:
    """``http://127.0.0.1:8101/x`` -> ``127.0.0.1:8101``."""
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.hostname}:{port}"
