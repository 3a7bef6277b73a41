from __future__ import annotations

import threading

import pytest

from vagus.clock import ManualClock
from vagus.errors import Conflict, StateError
from vagus.model import (
    Cause,
    Check,
    Decision,
    GuardRuling,
    Intent,
    IntentState,
    Purpose,
    Remedy,
    Request,
    Ruling,
    Subject,
    Tier,
)
from vagus.state.db import Database, open_database
from vagus.state.intents import Intents

CHAT1 = Subject("chat", "chat-1")
CHECK = Check(CHAT1, min_probes=3, hold=5.0, timeout=60.0, max_time_to_first_token=None)


def request(rung: int = 0, attempt: int = 1) -> Request:
    return Request(
        purpose=Purpose.TREAT,
        incident="inc-1",
        epoch=1,
        rung=rung,
        attempt=attempt,
        remedy=Remedy("restart", CHAT1),
        cause=Cause("replica-gone", CHAT1, 0.9),
        tier=Tier.R1,
    )


def ruling(decision: Decision = Decision.ALLOW) -> Ruling:
    return Ruling(
        decision,
        (
            GuardRuling("mode", Decision.ALLOW, "auto"),
            GuardRuling("budget", decision, "1 of 1", retry_after=12.5, numbers={"used": 1.0}),
        ),
    )


@pytest.fixture
def intents(database: Database) -> Intents:
    return Intents(database)


def decided(intents: Intents, rung: int = 0, decision: Decision = Decision.ALLOW) -> Intent:
    return intents.decide(request(rung), CHECK, lambda: ruling(decision), shadow=False)


@pytest.mark.parametrize(
    ("decision", "shadow", "state"),
    [
        (Decision.ALLOW, False, IntentState.WRITTEN),
        (Decision.ALLOW, True, IntentState.SHADOW),
        (Decision.ASK, False, IntentState.ASKED),
        (Decision.ASK, True, IntentState.SHADOW),
        (Decision.DENY, False, IntentState.REFUSED),
        (Decision.DENY, True, IntentState.REFUSED),
    ],
)
def test_the_state_follows_from_the_ruling(
    intents: Intents, clock: ManualClock, decision: Decision, shadow: bool, state: IntentState
) -> None:
    intent = intents.decide(request(), CHECK, lambda: ruling(decision), shadow=shadow)
    assert intent.state is state
    assert intent.created_at == clock.now()
    assert intents.get(intent.token) == intent  # the whole ruling and the check are kept


def test_a_token_is_decided_once(intents: Intents) -> None:
    first = decided(intents)

    def never() -> Ruling:
        raise AssertionError("judged twice")

    assert intents.decide(request(), CHECK, never, shadow=False) == first
    intents.begin(first.token)
    again = intents.decide(request(), CHECK, never, shadow=False)
    assert again.state is IntentState.ACTING


def test_a_judge_that_raises_leaves_no_intent(intents: Intents) -> None:
    def broken() -> Ruling:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        intents.decide(request(), CHECK, broken, shadow=False)
    assert intents.get(request().token) is None
    assert decided(intents).state is IntentState.WRITTEN


def test_the_judge_sees_what_was_decided_before_it(url: str, clock: ManualClock) -> None:
    """Many threads over two databases on one file, as two processes would have. Each judge allows
    only if nothing is unfinished: exactly one may pass."""
    databases = [open_database(url, clock) for _ in range(2)]
    barrier = threading.Barrier(8)
    results: list[IntentState] = []

    def ask(rung: int) -> None:
        mine = Intents(databases[rung % 2])

        def judge() -> Ruling:
            return ruling(Decision.DENY if mine.unfinished("chat") else Decision.ALLOW)

        barrier.wait()
        results.append(mine.decide(request(rung), CHECK, judge, shadow=False).state)

    threads = [threading.Thread(target=ask, args=(rung,)) for rung in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    assert sorted(results) == [IntentState.REFUSED] * 7 + [IntentState.WRITTEN]


def test_only_one_may_begin(intents: Intents, clock: ManualClock) -> None:
    token = decided(intents).token
    clock.advance(5.0)
    assert intents.begin(token) is True
    clock.advance(5.0)
    assert intents.begin(token) is False
    intent = intents.get(token)
    assert intent is not None
    assert intent.state is IntentState.ACTING
    assert intent.acted_at == intent.created_at + 5.0
    intents.finish(token, IntentState.APPLIED)
    assert intents.begin(token) is False


def test_what_was_not_allowed_can_not_begin(intents: Intents) -> None:
    refused = decided(intents, decision=Decision.ASK)
    shadow = intents.decide(request(7), CHECK, ruling, shadow=True)
    for token in (refused.token, shadow.token, "unknown"):
        with pytest.raises(StateError):
            intents.begin(token)


def test_finishing(intents: Intents, clock: ManualClock) -> None:
    token = decided(intents).token
    intents.begin(token)
    clock.advance(3.0)
    done = intents.finish(token, IntentState.APPLIED, "acknowledged")
    assert (done.state, done.note, done.finished_at) == (
        IntentState.APPLIED,
        "acknowledged",
        clock.now(),
    )
    clock.advance(3.0)
    assert intents.finish(token, IntentState.APPLIED, "again") == done  # a step that ran again
    with pytest.raises(Conflict, match="is applied and can't become failed"):
        intents.finish(token, IntentState.FAILED)
    undone = intents.finish(token, IntentState.UNDONE)
    assert (undone.state, undone.note) == (IntentState.UNDONE, "acknowledged")
    assert intents.get(token) == undone


def test_what_never_began_may_fail_but_a_refused_one_has_no_end(intents: Intents) -> None:
    assert intents.finish(decided(intents).token, IntentState.FAILED).acted_at is None
    refused = decided(intents, 1, Decision.DENY)
    with pytest.raises(Conflict):
        intents.finish(refused.token, IntentState.APPLIED)
    with pytest.raises(ValueError, match="does not end as written"):
        intents.finish(refused.token, IntentState.WRITTEN)


def test_what_is_unfinished_and_what_was_asked_for_since(
    intents: Intents, clock: ManualClock
) -> None:
    made = []
    for rung, decision in enumerate([Decision.ALLOW, Decision.ALLOW, Decision.DENY]):
        made.append(decided(intents, rung, decision))
        clock.advance(1.0)
    assert [i.token for i in intents.since(made[0].created_at, "chat")] == [
        made[1].token,
        made[2].token,
    ]
    intents.begin(made[0].token)  # written before that moment, and acted upon after it
    assert [i.token for i in intents.since(made[0].created_at, "chat")] == [i.token for i in made]
    assert [i.token for i in intents.unfinished("chat")] == [made[0].token, made[1].token]
    intents.finish(made[0].token, IntentState.APPLIED)
    assert [i.token for i in intents.unfinished("chat")] == [made[1].token]
    assert [i.token for i in intents.of_incident("inc-1")] == [i.token for i in made]
    assert intents.of_incident("inc-2") == []
