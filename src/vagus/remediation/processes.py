"""Restart and replace: what is done to a replica's process, through whoever runs it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from vagus.errors import ActionError, MalformedData, NotAcknowledged, SourceError
from vagus.model import Aspect, Endpoint, Override, Subject, Tier
from vagus.ports import Runtime
from vagus.remediation.action import Order, World, no_undo
from vagus.remediation.traffic import UNHEALTHY, reconcile, require_route

T = TypeVar("T")


class Restart:
    """End a replica's process and start it again in the same place.

    Self-restoring rather than reversible: there is no undo, because the process that was ended,
    its memory and the work it had in flight don't come back.
    """

    name = "restart"
    tier = Tier.R1
    moves_traffic = False
    undoable = False

    def __init__(self, world: World) -> None:
        self._world = world

    async def apply(self, order: Order) -> None:
        await told(runtime_of(self._world, order).restart(order.target, order.token))

    async def confirm(self, order: Order) -> bool | None:
        """None: a process doesn't say why it was started. Whether it is well again is seen."""
        return None

    async def undo(self, order: Order) -> None:
        raise no_undo(order, "the process that was ended does not come back")


class Replace:
    """A new replica in place of one whose place itself is bad (port, disk, host).

    The new one is known to the gateway at once but gets no traffic yet: it is verified first, and
    traffic returns to it by steps, as it would to the old one. Every step looks whether it was
    done already, and the new replica is ordered under a name of incident and target rather than of
    the attempt. So whoever finds a half-done replacement may order it again: it is finished, and
    never a second replica started.

    Membership has no expiry, unlike what holds traffic back: a replica that was ended must not
    come back into the gateway because an hour has passed.
    """

    name = "replace"
    tier = Tier.R2
    moves_traffic = False
    undoable = False

    def __init__(self, world: World) -> None:
        self._world = world

    async def apply(self, order: Order) -> None:
        runtime, target = runtime_of(self._world, order), order.target
        require_route(self._world, target.component)
        name = f"{order.incident}:{target}"
        if self._successor(order) is None:
            added = await told(runtime.add(target.component, f"{name}:add"))
            self._write_down(order, added)
        await reconcile(self._world, order.token, target.component)
        if target.replica in await told(runtime.replicas(target.component)):
            await told(runtime.remove(target, f"{name}:remove"))

    async def confirm(self, order: Order) -> bool | None:
        successor = self._successor(order)
        if successor is None:
            return False
        component = order.target.component
        try:
            there = await runtime_of(self._world, order).replicas(component)
            await reconcile(self._world, f"{order.token}:confirm", component)
        except (ActionError, SourceError):
            return None
        return successor.replica in there and order.target.replica not in there

    async def undo(self, order: Order) -> None:
        raise no_undo(order, "the replica that was replaced does not come back")

    def _write_down(self, order: Order, added: Endpoint) -> None:
        """Who comes and who goes; last the row by which a later look knows that all are there."""
        overrides, now, target = self._world.overrides, self._world.clock.now(), order.target
        comes = Subject(target.component, added.replica)
        incident, until = order.incident, order.expires_at
        overrides.put(Override(comes, Aspect.HEALTH, UNHEALTHY, incident, now, until))
        overrides.put(Override(target, Aspect.MEMBER, "", incident, now))
        for aspect in (Aspect.HEALTH, Aspect.WEIGHT):
            overrides.drop(incident, target, aspect)
        overrides.put(Override(comes, Aspect.MEMBER, added.address, incident, now))

    def _successor(self, order: Order) -> Subject | None:
        for row in self._world.overrides.all():
            if (
                row.incident == order.incident
                and row.aspect is Aspect.MEMBER
                and row.value
                and row.subject.component == order.target.component
                and row.subject != order.target
            ):
                return row.subject
        return None


def runtime_of(world: World, order: Order) -> Runtime:
    runtime = world.runtimes.get(order.target.component)
    if runtime is None:
        raise ActionError(
            f"nobody is known who can start and stop {order.target}",
            mend=f"name a runtime for {order.target.component} in vagus.yaml",
        )
    return runtime


async def told(call: Awaitable[T]) -> T:
    """The runtime's answer. What went wrong is said in the terms of an action: surely not done
    (nobody was there to ask), or unknown (somebody answered what nobody understands)."""
    try:
        return await call
    except MalformedData as error:
        raise NotAcknowledged(error.message, where=error.where, mend=error.mend) from error
    except SourceError as error:
        raise ActionError(error.message, where=error.where, mend=error.mend) from error
