"""AWS, October 2025: a delayed worker applied an old plan.

Two workers put DNS plans into force. One was delayed, checked once that its plan was newer than the
last, and went on for so long that by the time it wrote, another had put a much newer one into
force. The old plan won, the cleanup of old plans then deleted it, and a region's database had no
address. Here each plan of an incident has a number, and the number is looked at when it is asked
for, in the transaction that writes it down, whatever was checked before.
"""

from __future__ import annotations

from vagus.model import IncidentState, IntentState, Purpose
from vagus.testing.cases import CHAT
from vagus.testing.gate_bench import GateBench, asked
from vagus.testing.guard_cases import Held


def replay(bench: GateBench) -> list[Held]:
    incident = bench.incident(CHAT[0])
    back = asked(incident, "restore", purpose=Purpose.RETURN, rung=4)
    treat = asked(incident, rung=5)
    # The worker of the first epoch is delayed here; meanwhile:
    taken_over = bench.incidents.update(incident, new_epoch=True)
    bench.act(asked(taken_over, "eject", purpose=Purpose.CONTAIN))
    bench.hold(CHAT[0], "unhealthy")
    cases = [
        bench.case("current", back, "aws_delayed_worker: traffic back to what is sick"),
        bench.case("current", treat, "aws_delayed_worker: an old restart"),
    ]
    bench.incidents.update(bench.incidents.get(incident.id), state=IncidentState.RESOLVED)
    return [*cases, bench.case("current", treat, "aws_delayed_worker: all is well again")]


def test_an_old_plan_is_refused_however_late_it_comes(bench: GateBench) -> None:
    *superseded, over = replay(bench)
    for case in superseded:
        assert case.facts.epoch == 2
        assert case.request.epoch == 1
    intent = bench.decide(over.request)
    assert intent.state is IntentState.REFUSED
    assert "is over, or never was" in intent.ruling.reason


def test_the_newer_plan_goes_on(bench: GateBench) -> None:
    incident = bench.incident(CHAT[0])
    old = asked(incident)
    new = asked(bench.incidents.update(incident, new_epoch=True))
    assert "epoch 1 was superseded by 2" in bench.decide(old).ruling.reason
    assert bench.decide(new).state is IntentState.WRITTEN
