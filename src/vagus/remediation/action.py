"""What an action is, and the world that actions reach.

An action is carried out at most once, and yet the process may die at any instant of it. So every
action can say afterwards whether it is in force (:meth:`Action.confirm`), without having kept
anything in memory, and the healing workflow asks that instead of doing it again. Moves of traffic
answer it well, because they are rows of desired state and the row is the effect; a restart can't,
and says so with None: verification by evidence then decides.

Undo is not "the opposite". It takes back what the action itself put there, and only where that can
never put a sick replica back into traffic; elsewhere an action is not undoable, and says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from vagus.clock import Clock
from vagus.errors import ActionError
from vagus.model import Remedy, Subject, Tier
from vagus.ports import Gateway, IndexKeeper, Overrides, Rollouts, Runtime
from vagus.topology import Topology


@dataclass(frozen=True, slots=True)
class Order:
    """A remedy as it was allowed: under which token, for which incident, until when."""

    token: str
    incident: str
    remedy: Remedy
    expires_at: float | None = None  # when what it holds back flows again by itself
    fencing: int = 0  # grows with each process that takes the effect over

    @property
    def target(self) -> Subject:
        return self.remedy.target


class Action(Protocol):
    """One kind of remedy.

    ``moves_traffic`` says that it does nothing else: policy asks less evidence for that than for
    touching a process.
    """

    name: str
    tier: Tier
    moves_traffic: bool
    undoable: bool

    async def apply(self, order: Order) -> None:
        """Carry it out. Raises :class:`~vagus.errors.ActionError` if it was surely refused, and its
        child :class:`~vagus.errors.NotAcknowledged` if nobody knows whether it took effect."""
        ...

    async def confirm(self, order: Order) -> bool | None:
        """Whether it is in force: True, surely not (False: it may be ordered again), or None.

        Raises :class:`~vagus.errors.UnderWay` while it goes on."""
        ...

    async def undo(self, order: Order) -> None:
        """Take back what :meth:`apply` put there. Raises ActionError where that can't be done."""
        ...


@runtime_checkable
class Settling(Protocol):
    """An action that keeps something for its undo."""

    async def settle(self, order: Order) -> None:
        """It helped and won't be undone: let go of what was kept. Doing so again does nothing."""
        ...


@dataclass(frozen=True)
class World:
    """What actions work with. ``declared`` is the stack as declared: what was changed since is in
    ``overrides``, and only there."""

    clock: Clock
    declared: Topology
    overrides: Overrides
    gateway: Gateway | None
    routed: Callable[[str], bool]  # whether the gateway steers this component
    runtimes: Mapping[str, Runtime]  # by component
    rollouts: Rollouts | None = None
    keepers: Mapping[str, IndexKeeper] = field(default_factory=dict)  # by component
    steering: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from reading the overrides until they are in force. Without it, of two changes at once,
    the one that read first could land last and take the other one back."""


def no_undo(order: Order, why: str) -> ActionError:
    """The answer of an action that can't be undone."""
    return ActionError(
        f"{order.remedy.action} of {order.target} has no undo: {why}", where=order.token
    )
