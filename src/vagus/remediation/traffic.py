"""Traffic as desired state: the stack as declared, plus overrides, is what the gateway shall do.

Nobody edits routes. An action puts or drops a row, and the whole is rendered anew and handed over,
so a crash between two steps leaves rows and never a half-edited file, and a row that expires gives
traffic back even if nobody is left to undo it.

Rows of several incidents may speak about one replica. They are not ordered, and need not be: the
strictest health wins and the smallest share wins, so an incident that ends can't return what
another one still holds back. Only who is a *member* depends on time, the latest row wins: names
come back (a supervisor gives a free one to the next replica), and then they mean the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vagus.errors import ActionError
from vagus.model import Aspect, Endpoint, Override, Subject, Traffic
from vagus.remediation.action import World
from vagus.topology import Topology

HEALTHY, DRAINING, UNHEALTHY = "healthy", "draining", "unhealthy"
_STRICTNESS = {HEALTHY: 0, DRAINING: 1, UNHEALTHY: 2}


def render(declared: Topology, overrides: Iterable[Override], now: float) -> Traffic:
    """The endpoints of every component that has any, as the gateway shall treat them at ``now``."""
    rows = in_force(overrides, now)
    health: dict[Subject, str] = {}
    share: dict[Subject, float] = {}
    for row in rows:
        if row.aspect is Aspect.HEALTH:
            known = health.get(row.subject, HEALTHY)
            health[row.subject] = max(known, row.value, key=_STRICTNESS.__getitem__)
        elif row.aspect is Aspect.WEIGHT:
            known_share = share.get(row.subject, 1.0)
            share[row.subject] = min(known_share, max(0.0, float(row.value)))
    traffic: dict[str, tuple[Endpoint, ...]] = {}
    for name, node in _members(declared, rows).components.items():
        if node.replicas:
            subjects = {Subject(name, replica): replica for replica in sorted(node.replicas)}
            traffic[name] = tuple(
                Endpoint(
                    replica,
                    node.replicas[replica],
                    health.get(subject, HEALTHY),
                    share.get(subject, 1.0),
                )
                for subject, replica in subjects.items()
            )
    return traffic


def present(declared: Topology, overrides: Iterable[Override], now: float) -> Topology:
    """The stack with the replicas that were added and taken out since it was declared."""
    return _members(declared, in_force(overrides, now))


def in_force(overrides: Iterable[Override], now: float) -> Sequence[Override]:
    """Those that have not expired."""
    return [row for row in overrides if row.expires_at is None or row.expires_at > now]


async def reconcile(world: World, operation: str, component: str | None = None) -> None:
    """Put the desired traffic in force, of all components that the gateway steers or of one.

    An action reconciles its own component, so that a route that the gateway refuses doesn't stand
    against the healing of another.
    """
    if world.gateway is None:
        return
    async with world.steering:
        traffic = render(world.declared, world.overrides.all(), world.clock.now())
        steered = {
            name: endpoints
            for name, endpoints in traffic.items()
            if component in (None, name) and world.routed(name)
        }
        if steered:
            await world.gateway.apply(steered, operation)


def require_route(world: World, component: str) -> None:
    """Refuse to move traffic that no gateway of ours would move."""
    if world.gateway is None or not world.routed(component):
        raise ActionError(
            f"no gateway steers {component}, so its traffic can't be moved",
            mend="name the gateway in vagus.yaml and let it route this component by our endpoints",
        )


def _members(declared: Topology, rows: Iterable[Override]) -> Topology:
    return declared.with_members(
        sorted(rows, key=lambda row: (row.created_at, row.value == "", row.incident))
    )
