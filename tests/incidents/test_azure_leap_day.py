"""Azure, leap day 2012: healing moved the bug to healthy hosts.

On 29 February a certificate was made that should be valid for a year, until a day that doesn't
exist. Starting a machine's agent failed three times, the host was taken for broken, and its
machines were moved to healthy hosts, where the same thing happened, until the healing itself was
switched off by hand. Here the second host is the last.
"""

from __future__ import annotations

from vagus.config import PolicySettings
from vagus.model import Aspect, Decision, IntentState, Override, Subject, Symptom
from vagus.testing.cases import CHAT
from vagus.testing.gate_bench import GateBench, asked
from vagus.testing.guard_cases import Held

FRESH = Subject("chat", "chat-4")


def replay(bench: GateBench) -> list[Held]:
    bench.policy = PolicySettings.model_validate({"budget": "100% per 10m", "floor": 0.0})
    bench.grant("replace")
    first = bench.incident(CHAT[0], Symptom.GONE)
    bench.act(asked(first, "replace"))
    now = bench.clock.now()
    bench.overrides.put(Override(CHAT[0], Aspect.MEMBER, "", first.id, now))
    bench.overrides.put(Override(FRESH, Aspect.MEMBER, "http://127.0.0.1:2", first.id, now))
    bench.clock.advance(120.0)  # it had time to start
    second = bench.incident(FRESH, Symptom.GONE)
    healthy = bench.incident(CHAT[1], Symptom.GONE)  # the day has reached this one, too
    name = "azure_leap_day"
    return [
        bench.case("recreates_fault", asked(second, "replace"), f"{name}: the next host"),
        bench.case("recreates_fault", asked(second), f"{name}: the same host again"),
        bench.case("recreates_fault", asked(healthy, "replace"), f"{name}: another host"),
    ]


def test_the_second_host_is_the_last(bench: GateBench) -> None:
    for case in replay(bench):
        intent = bench.decide(case.request)
        assert intent.state is IntentState.REFUSED
        assert "chat/chat-4 took the place of another one because of replica-gone" in (
            intent.ruling.reason
        )
        assert intent.ruling.retry_after is None  # a person has to look


def test_another_fault_is_still_treated(bench: GateBench) -> None:
    replay(bench)
    bench.hold(CHAT[2], "unhealthy")  # callers are safe from it
    other = bench.incident(CHAT[2], Symptom.HUNG)
    assert bench.decide(asked(other)).ruling.decision is Decision.ALLOW
