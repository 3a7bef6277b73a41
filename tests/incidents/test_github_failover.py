"""GitHub, October 2018: 43 seconds of partition became a failover of a database across a continent.

The orchestrator saw that the primary was unreachable, was right, and promoted a replica on the
other coast. After 43 seconds the network was back; writes had gone to both, and putting them
together took a day. Here evidence about a store has to last before its process is touched, approved
or not; and while half of the world is silent, nobody is believed.
"""

from __future__ import annotations

from vagus.config import Kind
from vagus.model import Decision, IntentState, SensesReport, Subject
from vagus.testing.gate_bench import GateBench, asked, node
from vagus.testing.guard_cases import Held
from vagus.topology import Topology

PRIMARY = Subject("vectors", "vectors-1")
PARTITION_S = 43.0


def replay(bench: GateBench) -> list[Held]:
    names = ("vectors-1", "vectors-2", "vectors-3")
    bench.declared = Topology({"vectors": node("vectors", Kind.VECTOR_STORE, *names)})
    incident = bench.incident(PRIMARY, lasting=PARTITION_S)
    failover = asked(incident)
    bench.approve(failover, "ana")  # somebody was quick
    held = bench.case("hold_down", failover, "github_failover: 43 s of partition")
    bench.clock.advance(47.0)
    bench.incident(PRIMARY, lasting=PARTITION_S + 47.0)
    bench.senses = SensesReport(False, "5 of 6 targets fell silent at once", 5, 6)
    blind = bench.case("senses_trusted", failover, "github_failover: half of the world is silent")
    return [held, blind]


def test_what_can_not_be_undone_is_slow_to_begin(bench: GateBench) -> None:
    held, blind = replay(bench)
    for case in (held, blind):
        assert case.facts.proposal is not None
    bench.senses = SensesReport(True)
    later = bench.decide(held.request)  # the network did not come back: now it may be done
    assert later.state is IntentState.WRITTEN
    assert any("approved by ana" in said.reason for said in later.ruling.guards)


def test_the_partition_is_sat_out(bench: GateBench) -> None:
    names = ("vectors-1", "vectors-2", "vectors-3")
    bench.declared = Topology({"vectors": node("vectors", Kind.VECTOR_STORE, *names)})
    ruling = bench.decide(asked(bench.incident(PRIMARY, lasting=PARTITION_S))).ruling
    assert ruling.decision is Decision.DENY
    assert ruling.retry_after == 17.0
    assert "the evidence has lasted for 43 s of 60" in ruling.reason
