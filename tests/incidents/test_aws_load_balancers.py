"""AWS, October 2025, hours later: health checks hit hosts that weren't ready.

New hosts joined load balancers before the state of their network had reached them. Checks failed,
capacity was taken away, checks passed, it was given back, round and round, and the checking itself
fell behind. Here what we started is given the time that a start takes, before anything is made of
how it looks.
"""

from __future__ import annotations

from vagus.config import PolicySettings
from vagus.model import (
    Aspect,
    IncidentState,
    IntentState,
    Override,
    Purpose,
    Rollout,
    Subject,
    Symptom,
)
from vagus.testing.cases import CHAT
from vagus.testing.gate_bench import GateBench, asked
from vagus.testing.guard_cases import Held

FRESH = Subject("chat", "chat-4")


def replay(bench: GateBench) -> list[Held]:
    bench.policy = PolicySettings.model_validate(
        {"budget": "100% per 10m", "cooldown": "5s", "floor": 0.0}
    )
    bench.warm_up = 180.0  # it loads its weights
    bench.grant("replace")
    slow = bench.incident(CHAT[1], Symptom.SLOW)
    bench.act(asked(slow, "replace"))
    now = bench.clock.now()
    bench.overrides.put(Override(CHAT[1], Aspect.MEMBER, "", slow.id, now))
    bench.overrides.put(Override(FRESH, Aspect.MEMBER, "http://127.0.0.1:2", slow.id, now))
    hung = bench.incident(CHAT[0])
    bench.act(asked(hung))
    bench.incidents.update(hung, state=IncidentState.RESOLVED)
    bench.clock.advance(10.0)
    starting = bench.incident(FRESH, Symptom.ERRORING)
    loading = bench.incident(CHAT[0], Symptom.GONE)
    name = "aws_load_balancers"
    return [
        bench.case("warm_up", asked(starting), f"{name}: a new host"),
        bench.case("warm_up", asked(loading), f"{name}: a host that was restarted"),
    ]


def test_a_start_is_given_its_time(bench: GateBench) -> None:
    for case in replay(bench):
        ruling = bench.decide(case.request).ruling
        assert "was started 10 s ago and may take 180 s" in ruling.reason
        assert ruling.retry_after == 170.0
    bench.clock.advance(170.0)
    late = bench.incident(FRESH, Symptom.ERRORING)
    assert bench.decide(asked(late, attempt=2)).state is IntentState.WRITTEN


def test_a_canary_that_is_just_being_started_is_no_reason_to_roll_back(bench: GateBench) -> None:
    """Seen on a stack of our own: people were asked within a second of each rollout, for the new
    version was gone as long as it was starting."""
    bench.warm_up = 30.0
    began = bench.clock.now()
    bench.rollouts.start(Rollout("r-1", "chat", "v2", "v1", (CHAT[0].replica,), began, "pipeline"))
    bench.clock.advance(1.0)
    gone = bench.incident(CHAT[0], Symptom.GONE)
    rollback = asked(gone, "rollback")
    said = bench.decide(rollback).ruling
    assert [ruling.guard for ruling in said.deciding] == ["warm_up"]
    assert said.retry_after == 29.0
    bench.clock.advance(29.0)
    nonsense = bench.incident(CHAT[0], Symptom.NONSENSE)
    late = asked(nonsense, "rollback")
    assert bench.decide(late).state is IntentState.ASKED


def test_callers_are_taken_away_from_what_is_not_ready(bench: GateBench) -> None:
    starting = replay(bench)[0].request
    bench.act(
        asked(bench.incidents.get(starting.incident), "eject", purpose=Purpose.CONTAIN, rung=3)
    )
