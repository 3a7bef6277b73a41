"""An effect is ordered once, and by who is entitled to it at that moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from vagus.acting import Acting
from vagus.clock import ManualClock
from vagus.errors import ActionError, NotAcknowledged
from vagus.model import (
    Check,
    Decision,
    Intent,
    IntentState,
    Purpose,
    Request,
    Ruling,
    Subject,
    Tier,
)
from vagus.remediation.action import Order
from vagus.state.db import Database, open_database
from vagus.state.intents import Intents
from vagus.state.leases import Leases
from vagus.testing.cases import CHAT, a_request

T = TypeVar("T")


class Lever:
    """An action that can be undone, and remembers what it was ordered."""

    name, tier, moves_traffic, undoable = "lever", Tier.R1, True, True

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.pulled = False
        self.known: bool | None = True  # whether it can say if it is in force
        self.error: ActionError | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    async def apply(self, order: Order) -> None:
        self.orders.append(order)
        self.meanwhile()
        if self.error is not None:
            raise self.error
        self.pulled = True

    async def confirm(self, order: Order) -> bool | None:
        return self.pulled if self.known else None

    async def undo(self, order: Order) -> None:
        self.orders.append(order)
        if self.error is None:
            self.pulled = False


class Place:
    """What one process acts with; several share the state."""

    def __init__(self, database: Database, lever: Lever) -> None:
        self.intents, self.leases = Intents(database), Leases(database)
        self.stopped: str | None = None
        self.acting = Acting(
            clock=ManualClock(),
            intents=self.intents,
            leases=self.leases,
            actions={"lever": lever},
            call=self.call,
            stopped=lambda: self.stopped,
            held_for=60.0,
        )
        self.before_each_call: Callable[[], None] = lambda: None

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        self.before_each_call()
        return asyncio.run(work)

    def intent(self, request: Request) -> Intent:
        return self.intents.decide(
            request,
            Check(request.remedy.target, 3, 5.0, 60.0),
            lambda: Ruling(Decision.ALLOW, ()),
            shadow=False,
        )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path / 'vagus.db'}", ManualClock(1_000_000.0))
    yield opened
    opened.close()


@pytest.fixture
def lever() -> Lever:
    return Lever()


@pytest.fixture
def place(database: Database, lever: Lever) -> Place:
    return Place(database, lever)


def test_it_is_done_once_and_the_target_is_free_again(place: Place, lever: Lever) -> None:
    intent = place.intent(a_request("lever"))
    assert place.acting.carry_out(intent).state is IntentState.APPLIED
    assert [order.token for order in lever.orders] == [intent.token]
    assert place.leases.acquire(CHAT[0], "next", 1.0) is not None


def test_what_had_begun_is_looked_for_and_not_ordered_again(place: Place, lever: Lever) -> None:
    intent = place.intent(a_request("lever"))
    place.intents.begin(intent.token)
    ended = place.acting.carry_out(intent)
    assert lever.orders == []
    assert (ended.state, ended.note[:9]) == (IntentState.FAILED, "had begun")


def test_a_process_that_wakes_up_late_is_refused_at_the_moment_of_execution(
    database: Database, place: Place, lever: Lever
) -> None:
    """It stands still when everything is ready and only the order is missing. Somebody else goes on
    with the effect meanwhile; its order is never sent."""
    other = Place(database, lever)
    intent = place.intent(a_request("lever"))
    ended: list[Intent] = []

    def meanwhile() -> None:
        place.before_each_call = lambda: None
        ended.append(other.acting.carry_out(intent))

    place.before_each_call = meanwhile
    late = place.acting.carry_out(intent)
    assert lever.orders == []
    assert [late] == ended
    assert late.state is IntentState.FAILED  # surely not in force: it may be asked for again
    assert place.leases.acquire(CHAT[0], "next", 1.0) is not None


def test_who_takes_an_effect_over_draws_a_greater_token(
    database: Database, place: Place, lever: Lever
) -> None:
    tokens = []
    for rung in range(3):
        place.acting.carry_out(place.intent(a_request("lever", rung=rung)))
        tokens.append(lever.orders[-1].fencing)
    assert tokens == sorted(set(tokens))


def test_what_others_said_of_its_end_stands(database: Database, place: Place, lever: Lever) -> None:
    """It was sent, then this process stood still; who took over found nothing and said so."""
    other = Place(database, lever)
    intent = place.intent(a_request("lever"))
    lever.meanwhile = lambda: other.intents.finish(intent.token, IntentState.FAILED, "not there")
    assert place.acting.carry_out(intent).note == "not there"


def test_two_effects_do_not_meet_on_one_target(place: Place, lever: Lever) -> None:
    place.leases.acquire(CHAT[0], "inc-2:1:1:1", 60.0)
    ended = place.acting.carry_out(place.intent(a_request("lever")))
    assert (ended.state, ended.note) == (
        IntentState.FAILED,
        "somebody else acts on this target",
    )
    assert lever.orders == []


@pytest.mark.parametrize("purpose", list(Purpose))
def test_the_kill_switch_is_asked_again(place: Place, lever: Lever, purpose: Purpose) -> None:
    place.stopped = "release freeze"
    ended = place.acting.carry_out(place.intent(a_request("lever", purpose=purpose)))
    begins = purpose in (Purpose.CONTAIN, Purpose.TREAT)
    assert ended.state is (IntentState.FAILED if begins else IntentState.APPLIED)
    assert len(lever.orders) == (0 if begins else 1)


def test_a_move_of_traffic_that_nobody_acknowledged_is_not_done(place: Place, lever: Lever) -> None:
    lever.error, lever.known = NotAcknowledged("no answer"), None
    ended = place.acting.carry_out(place.intent(a_request("lever")))
    assert (ended.state, ended.note) == (IntentState.FAILED, "no answer")


def undoing(intent: Intent) -> Request:
    return replace(a_request("lever", purpose=Purpose.UNDO, rung=9), undoes=intent.token)


def test_an_undo_takes_back_what_was_ordered(place: Place, lever: Lever) -> None:
    done = place.acting.carry_out(place.intent(a_request("lever")))
    undone = place.acting.carry_out(place.intent(undoing(done)))
    assert undone.state is IntentState.APPLIED
    assert not lever.pulled
    assert [order.token for order in lever.orders] == [done.token, done.token]


def test_an_undo_that_did_not_take_is_none(place: Place, lever: Lever) -> None:
    done = place.acting.carry_out(place.intent(a_request("lever")))
    lever.error = ActionError("jammed")
    undone = place.acting.carry_out(place.intent(undoing(done)))
    assert (undone.state, undone.note) == (IntentState.FAILED, "it is still in force")


def test_somebody_else_has_another_target(place: Place) -> None:
    place.leases.acquire(Subject("chat", "chat-9"), "inc-2:1:1:1", 60.0)
    assert place.acting.carry_out(place.intent(a_request("lever"))).state is IntentState.APPLIED
