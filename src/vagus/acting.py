"""What may happen only once: from an intent that is written down to an effect in the world.

Three things stand between an order and its repetition. The *intent* is begun by one caller only;
who finds that it had begun does not order again but looks for the effect. The *lease* keeps two
effects from one target at a time. And its *fencing token* tells the process that goes on with an
effect from the one that had it before and may not know that it is dead: everybody who takes an
effect over draws a new token, and the old one is refused at the moment of execution, right before
the order leaves this process.

What can't be closed from here is the moment between that look and the order's arrival. Whoever
carries the order out is therefore told its token, so that an order that comes twice is one, and the
fencing token, for a target that can compare it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from vagus.clock import Clock
from vagus.errors import ActionError, Conflict, LeaseLost, NotAcknowledged, UnderWay
from vagus.model import Intent, IntentState, Purpose
from vagus.ports import Intents, Leases
from vagus.remediation.action import Action, Order

T = TypeVar("T")

ACTION_TTL = 60.0  # s that a target is leased; longer than any call lasts, and renewed after it
LOOK_EVERY = 0.2  # s between two looks at what became of an effect that others took over
UNFINISHED = (IntentState.WRITTEN, IntentState.ACTING)


class Call(Protocol):
    """Runs a coroutine on the event loop and waits for it on this (workflow) thread."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> T: ...


class Acting:
    def __init__(
        self,
        *,
        clock: Clock,
        intents: Intents,
        leases: Leases,
        actions: Mapping[str, Action],
        call: Call,
        stopped: Callable[[], str | None],
        held_for: float,
    ) -> None:
        """``held_for``: seconds after which what an action holds back flows again by itself."""
        self._clock = clock
        self._intents = intents
        self._leases = leases
        self._actions = actions
        self._call = call
        self._stopped = stopped
        self._held_for = held_for

    def carry_out(self, intent: Intent) -> Intent:
        """Do what ``intent`` says, once in whatever process and after whatever crash. The intent as
        it ended."""
        target, token = intent.request.remedy.target, intent.token
        # If this effect was taken over, its former owner is to find out before it acts.
        self._leases.release(target, token)
        fencing = self._leases.acquire(target, token, ACTION_TTL)
        if fencing is None:
            note = "somebody else acts on this target"
            return self._intents.finish(token, IntentState.FAILED, note)
        try:
            state, note = self._do(intent, fencing)
        except LeaseLost:
            return self._as_others_end_it(intent)
        finally:
            # Before it is finished: what is finished is not carried out again, nor let go of again.
            self._leases.release(target, token, fencing)
        try:
            return self._intents.finish(token, state, note)
        except Conflict:  # others took it over, and said how it ended
            return self._known(intent)

    def _do(self, intent: Intent, fencing: int) -> tuple[IntentState, str]:
        request = intent.request
        reason = self._stopped()  # asked again: it may have been set since the ruling
        if reason is not None and request.purpose in (Purpose.CONTAIN, Purpose.TREAT):
            return IntentState.FAILED, f"stopped by the kill switch: {reason}"
        action, undo = self._actions[request.remedy.action], bool(request.undoes)
        until = self._clock.now() + self._held_for
        order = Order(
            request.undoes or intent.token, request.incident, request.remedy, until, fencing
        )
        note = ""
        try:
            if self._intents.begin(intent.token):
                try:
                    self._call(self._order(action, order, intent, undo=undo))
                except NotAcknowledged as error:
                    note = str(error)
            else:
                note = "had begun before a restart: looked for its effect, did not repeat it"
            in_force = self._confirmed(action, order, intent)
        except ActionError as error:
            return IntentState.FAILED, str(error)
        if undo and in_force is not None:
            in_force = not in_force
        # Nobody can say whether a restart took effect: evidence will. A move of traffic that nobody
        # acknowledged must not pass for done: callers would be thought safe.
        if in_force is False or (in_force is None and action.moves_traffic):
            return IntentState.FAILED, note or f"it is {'still' if undo else 'not'} in force"
        return IntentState.APPLIED, note

    def _confirmed(self, action: Action, order: Order, intent: Intent) -> bool | None:
        """Whether it is in force. What takes long goes on by itself: its target stays leased.

        Raises LeaseLost if the effect is in other hands.
        """
        while True:
            try:
                return self._call(action.confirm(order))
            except UnderWay:
                target, token = order.target, intent.token
                if self._leases.acquire(target, token, ACTION_TTL) != order.fencing:
                    raise LeaseLost("others have taken this effect over", where=token) from None
                self._call(self._clock.sleep(LOOK_EVERY))

    async def _order(self, action: Action, order: Order, intent: Intent, *, undo: bool) -> None:
        """The last look at the lease, and the order, with nothing in between.

        Raises LeaseLost if the effect is in other hands.
        """
        if not self._leases.holds(order.target, intent.token, order.fencing):
            raise LeaseLost("others have taken this effect over", where=intent.token)
        await (action.undo(order) if undo else action.apply(order))

    def _as_others_end_it(self, intent: Intent) -> Intent:
        """Their word on the effect counts; this process adds none."""
        while (known := self._known(intent)).state in UNFINISHED:
            self._call(self._clock.sleep(LOOK_EVERY))
        return known

    def _known(self, intent: Intent) -> Intent:
        known = self._intents.get(intent.token)
        assert known is not None, f"no intent {intent.token}: it is written before it is begun"
        return known
