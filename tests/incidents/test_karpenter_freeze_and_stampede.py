"""Karpenter, on repairing nodes: a breaker that trips fails both ways.

*Freeze*: a wave of false alarms trips it, and the one node that is really broken is not repaired.
*Stampede*: it is reset, and all that was flagged meanwhile is ended at once. Here there is no
breaker but a budget that refills: a wave is let through one by one, whatever is asked for and
however long it had to wait, and what is real has its turn.
"""

from __future__ import annotations

from vagus.config import Kind, PolicySettings
from vagus.model import Incident, IntentState, Request, Subject
from vagus.testing.gate_bench import EMBED, GateBench, asked, node
from vagus.testing.guard_cases import Held
from vagus.topology import Topology

FLEET = tuple(Subject("chat", f"chat-{n:02}") for n in range(20))
PLACES, PERIOD = 2, 600.0


def wave(bench: GateBench) -> list[Incident]:
    """All of a fleet look sick, as by a wrong threshold."""
    chat = node("chat", Kind.MODEL_SERVER, *(replica.replica for replica in FLEET))
    embed = node("embed", Kind.EMBEDDING_SERVER, "embed-1", "embed-2")
    bench.declared = Topology({"chat": chat, "embed": embed})
    bench.policy = PolicySettings.model_validate({"budget": "10% per 10m", "floor": 0.0})
    return [bench.incident(replica) for replica in FLEET]


def ask_all(bench: GateBench, incidents: list[Incident], attempt: int) -> list[Request]:
    """Who gets through of all that ask at this moment."""
    passed = []
    for incident in incidents:
        bench.incident(incident.subject)  # it is still seen
        request = asked(incident, attempt=attempt)
        if bench.decide(request).state is IntentState.WRITTEN:
            bench.intents.begin(request.token)
            bench.intents.finish(request.token, IntentState.APPLIED)
            passed.append(request)
    return passed


def replay(bench: GateBench) -> list[Held]:
    incidents = wave(bench)
    ask_all(bench, incidents[:PLACES], 1)
    bench.clock.advance(PERIOD - 1.0)
    bench.incident(FLEET[5])
    third = asked(incidents[5])
    return [bench.case("budget", third, "karpenter_freeze_and_stampede: the third of a wave")]


def test_no_stampede_however_long_it_waited(bench: GateBench) -> None:
    incidents = wave(bench)
    asking = list(incidents)
    for attempt in range(1, 4):
        passed = ask_all(bench, asking, attempt)
        assert len(passed) == PLACES
        done = {request.incident for request in passed}
        asking = [incident for incident in asking if incident.id not in done]
        bench.clock.advance(PERIOD * attempt)  # waiting longer saves up nothing


def test_no_freeze_the_one_that_is_broken_has_its_turn(bench: GateBench) -> None:
    *false_alarms, broken = wave(bench)
    ask_all(bench, false_alarms[:PLACES], 1)
    refused = bench.decide(asked(broken)).ruling
    assert [said.guard for said in refused.deciding] == ["budget"]
    assert refused.retry_after is not None
    bench.clock.advance(refused.retry_after)
    bench.incident(broken.subject)
    assert bench.decide(asked(broken, attempt=2)).state is IntentState.WRITTEN


def test_no_freeze_of_other_components(bench: GateBench) -> None:
    ask_all(bench, wave(bench), 1)
    assert bench.decide(asked(bench.incident(EMBED))).state is IntentState.WRITTEN
