"""Moves of traffic: eject, drain, weight, restore. Each changes rows of its incident and no others.

They follow one order, which holds at every instant at which the process may die: what holds traffic
back is put before what it takes the place of is dropped. So a crash can leave a replica with too
little traffic for a while, and never a sick one with more than was decided.
"""

from __future__ import annotations

from collections.abc import Iterable

from vagus.errors import ActionError, NotAcknowledged, SourceError
from vagus.model import Aspect, Override, Subject, Tier
from vagus.remediation.action import Order, World, no_undo
from vagus.remediation.traffic import DRAINING, UNHEALTHY, present, reconcile, require_route


class _Rerouting:
    """What moves of traffic have in common: rows, then the gateway, then its acknowledgement."""

    name: str
    tier = Tier.R1
    moves_traffic = True
    undoable = True

    def __init__(self, world: World) -> None:
        self._world = world

    async def _change(
        self, order: Order, put: Iterable[Override], drop: Iterable[Aspect], operation: str
    ) -> None:
        """Change the rows and put them in force. If the gateway refuses, they are as before."""
        world = self._world
        require_route(world, order.target.component)
        before = _rows(world, order)
        for row in put:
            world.overrides.put(row)
        for aspect in drop:
            world.overrides.drop(order.incident, order.target, aspect)
        try:
            await reconcile(world, operation, order.target.component)
        except NotAcknowledged:
            raise  # it may be in force, so the rows must go on saying so
        except ActionError:
            for row in before.values():
                world.overrides.put(row)
            for aspect in _rows(world, order).keys() - before.keys():
                world.overrides.drop(order.incident, order.target, aspect)
            raise

    async def _acknowledged(self, order: Order) -> bool | None:
        """The rows are right; whether the gateway follows them. Reconciling repeats nothing."""
        try:
            await reconcile(self._world, f"{order.token}:confirm", order.target.component)
        except (NotAcknowledged, SourceError):
            return None
        except ActionError:
            return False
        return True

    def _row(self, order: Order, aspect: Aspect, value: str) -> Override:
        now = self._world.clock.now()
        return Override(order.target, aspect, value, order.incident, now, order.expires_at)


class _Hold(_Rerouting):
    """Traffic away from a replica, by a health that the gateway is told."""

    health: str

    async def apply(self, order: Order) -> None:
        _require_replica(self._world, order.target)
        row = self._row(order, Aspect.HEALTH, self.health)
        await self._change(order, put=[row], drop=[], operation=order.token)

    async def confirm(self, order: Order) -> bool | None:
        row = _rows(self._world, order).get(Aspect.HEALTH)
        if row is None or row.value != self.health:
            return False
        return await self._acknowledged(order)

    async def undo(self, order: Order) -> None:
        await self._change(order, put=[], drop=[Aspect.HEALTH], operation=f"{order.token}:undo")


class Eject(_Hold):
    """No traffic; what is in flight is left to finish or to break by itself."""

    name = "eject"
    health = UNHEALTHY


class Drain(_Hold):
    """No new traffic, for a replica that still answers."""

    name = "drain"
    health = DRAINING


class Weight(_Rerouting):
    """A share of a replica's normal traffic, in place of this incident's ejection or drain."""

    name = "weight"
    undoable = False

    async def apply(self, order: Order) -> None:
        _require_replica(self._world, order.target)
        if not 0 < order.remedy.share <= 1:
            raise ActionError(
                f"a share of {order.remedy.share} can't be given to {order.target}",
                where=order.token,
                mend="a share lies above 0 and up to 1; eject gives none",
            )
        row = self._row(order, Aspect.WEIGHT, _text(order.remedy.share))
        await self._change(order, put=[row], drop=[Aspect.HEALTH], operation=order.token)

    async def confirm(self, order: Order) -> bool | None:
        rows = _rows(self._world, order)
        row = rows.get(Aspect.WEIGHT)
        if row is None or row.value != _text(order.remedy.share) or Aspect.HEALTH in rows:
            return False
        return await self._acknowledged(order)

    async def undo(self, order: Order) -> None:
        raise no_undo(order, "it took the place of an ejection, so it is ejected again or restored")


class Restore(_Rerouting):
    """All of a replica's normal traffic, as far as this incident held it back."""

    name = "restore"
    undoable = False

    async def apply(self, order: Order) -> None:
        held = [Aspect.HEALTH, Aspect.WEIGHT]
        await self._change(order, put=[], drop=held, operation=order.token)

    async def confirm(self, order: Order) -> bool | None:
        if _rows(self._world, order).keys() & {Aspect.HEALTH, Aspect.WEIGHT}:
            return False
        return await self._acknowledged(order)

    async def undo(self, order: Order) -> None:
        raise no_undo(order, "holding traffic back again is an ejection, and asked for as one")


def _rows(world: World, order: Order) -> dict[Aspect, Override]:
    """What the order's incident says of its target."""
    return {
        row.aspect: row
        for row in world.overrides.all()
        if row.incident == order.incident and row.subject == order.target
    }


def _text(share: float) -> str:
    return f"{share:g}"


def _require_replica(world: World, target: Subject) -> None:
    stack = present(world.declared, world.overrides.all(), world.clock.now())
    if stack.address(target) is None:
        node = stack.components.get(target.component)
        known = ", ".join(node.replicas) if node else ""
        raise ActionError(f"there is no replica {target}", mend=f"there are: {known or 'none'}")
