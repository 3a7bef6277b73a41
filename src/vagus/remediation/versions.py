"""Rollback: a replica goes back to the version that it ran before a rollout."""

from __future__ import annotations

from vagus.errors import ActionError, SourceError
from vagus.model import Rollout, Tier
from vagus.remediation.action import Order, World, no_undo
from vagus.remediation.processes import runtime_of, told


class Rollback:
    """Start the target anew as the version before.

    It changes what callers are served, and by whose decision: somebody rolled that version out on
    purpose. So it is proposed and not done, and its way back is theirs as well: to publish again.
    The rollout ends, as rolled back, once none of its replicas runs the new version any more.
    """

    name = "rollback"
    tier = Tier.R3
    moves_traffic = False
    undoable = False

    def __init__(self, world: World) -> None:
        self._world = world

    async def apply(self, order: Order) -> None:
        version = order.remedy.version
        if not version:
            raise ActionError(
                f"nobody knows what {order.target} ran before",
                mend="tell Vagus of rollouts: vagus deploy start --previous ...",
            )
        await told(runtime_of(self._world, order).deploy(order.target, version, order.token))
        await self._end_rollout(order)

    async def confirm(self, order: Order) -> bool | None:
        try:
            runs = await runtime_of(self._world, order).version(order.target)
        except (ActionError, SourceError):
            return None
        return runs == order.remedy.version if runs else None

    async def undo(self, order: Order) -> None:
        raise no_undo(order, "who rolled the other version out publishes it again, if it was right")

    async def _end_rollout(self, order: Order) -> None:
        rollout = self._rollout(order)
        if rollout is None:
            return
        runtime = runtime_of(self._world, order)
        others = [order.target.of(name) for name in rollout.replicas]
        if not any([await told(runtime.version(s)) == rollout.version for s in others]):
            assert self._world.rollouts is not None
            self._world.rollouts.finish(rollout.id, "rolled-back")

    def _rollout(self, order: Order) -> Rollout | None:
        if self._world.rollouts is None:
            return None
        latest = self._world.rollouts.latest().get(order.target.component)
        return latest if latest is not None and latest.covers(order.target) else None
