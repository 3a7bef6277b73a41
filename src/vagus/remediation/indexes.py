"""Rebuilding an index and cleaning up a table: what is done to a collection while it serves.

No process is touched and callers notice nothing but the work that goes on beside theirs. Both can
take long, so they are ordered and then looked after: ``confirm`` says that they are under way.
"""

from __future__ import annotations

from vagus.errors import ActionError
from vagus.model import Tier
from vagus.ports import IndexKeeper
from vagus.remediation.action import Order, World, no_undo


class RebuildIndex:
    """Build the target's index anew beside the present one, and let it take its place.

    The old one is kept aside until the new one is found to be good, so that it can be taken back
    at once, with everything that was written meanwhile in it.
    """

    name = "rebuild-index"
    tier = Tier.R2
    moves_traffic = False
    undoable = True

    def __init__(self, world: World) -> None:
        self._world = world

    async def apply(self, order: Order) -> None:
        await _keeper(self._world, order).rebuild(order.target, order.token)

    async def confirm(self, order: Order) -> bool | None:
        return await _keeper(self._world, order).rebuilt(order.target, order.token)

    async def undo(self, order: Order) -> None:
        await _keeper(self._world, order).put_back(order.target, order.token)

    async def settle(self, order: Order) -> None:
        await _keeper(self._world, order).let_go(order.target, order.token)


class Vacuum:
    """Clean up what deleted rows left in the target's table and in its indexes.

    There is no undo and no need of one: nothing that anybody can see is changed.
    """

    name = "vacuum"
    tier = Tier.R2
    moves_traffic = False
    undoable = False

    def __init__(self, world: World) -> None:
        self._world = world

    async def apply(self, order: Order) -> None:
        await _keeper(self._world, order).vacuum(order.target, order.token)

    async def confirm(self, order: Order) -> bool | None:
        return await _keeper(self._world, order).vacuumed(order.target, order.token)

    async def undo(self, order: Order) -> None:
        raise no_undo(order, "what deleted rows left behind is of no use to anybody")


def _keeper(world: World, order: Order) -> IndexKeeper:
    keeper = world.keepers.get(order.target.component)
    if keeper is None:
        raise ActionError(
            f"nobody is known who can mend an index of {order.target.component}",
            mend=f"give {order.target.component} a dsn_env, and set that variable",
        )
    return keeper
