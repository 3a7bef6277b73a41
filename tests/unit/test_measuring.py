"""Vagus's own numbers, taken from a real healing on a real state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from vagus import healing
from vagus.clock import ManualClock
from vagus.entries import of_finding, of_incident
from vagus.errors import StateUnavailable
from vagus.measuring import Measured, Said, Sources
from vagus.metrics import METRICS
from vagus.model import (
    Decision,
    Finding,
    GuardRuling,
    Incident,
    Sense,
    SensesReport,
    Subject,
    Symptom,
)
from vagus.snapshot import Snapshot, Vitals, replica_views
from vagus.telemetry.rejections import Rejected
from vagus.testing.bench import CHAT_2, Bench

HUNG = Finding(CHAT_2, Symptom.HUNG, Sense.GATEWAY, 1.0, 2.0, "it hangs")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(healing, "LOOK_EVERY", 0.02)
    made = Bench(tmp_path)
    yield made
    made.close()


def measured(bench: Bench) -> Measured:
    senses = SensesReport(trusted=True, silent=1, watched=9)

    def snapshot() -> Snapshot:
        bench.overrides.all()  # as the real one does: the state is asked
        vitals = {CHAT_2: Vitals(3.0, 0.5, 0.2, 0.9, 4.0)}
        rows = replica_views(bench.declared, (), (HUNG,), frozenset(), frozenset(), vitals)
        return Snapshot(bench.clock.now(), "auto", None, senses, rows, (), untold=2)

    return Measured(
        Sources(
            clock=bench.clock,
            interval=1.0,
            loop_counts=Counter(evidence=7, evidence_dropped=2),
            rejected=Counter({Rejected.NOT_FINITE: 3}),
            notified=lambda: {"notifications_sent_total": 5.0},
            refused=Counter({429: 6}),
            series=lambda: 11,
            findings=lambda: [HUNG, replace(HUNG, sense=Sense.SCRAPE)],
            unadmitted=lambda: 1,
            senses=lambda: senses,
            snapshot=snapshot,
            alarms_in_a_week=1.0,
            alarms=lambda: 4,
            exported=Counter({("exported", "traces"): 8}),
            incidents=bench.incidents,
            proposals=bench.proposals,
            licences=bench.licences,
            overrides=bench.overrides,
            ledger=bench.ledger,
        )
    )


def told(measure: Measured) -> Mapping[tuple[str, ...], float]:
    """(name, label values ...) -> value."""
    return {(r.metric.name, *r.labels): r.value for r in measure.readings()}


def heal(bench: Bench) -> Incident:
    incident = bench.sicken()
    facts = of_incident(incident, ["it hangs"])
    bench.ledger.append("loop", "hung", "finding.opened", of_finding(HUNG))
    bench.ledger.append(incident.workflow_id, "open", "incident.opened", facts)
    return bench.heal(incident)


def test_everything_in_the_catalogue_is_told_in_the_end(bench: Bench) -> None:
    measure = measured(bench)
    heal(bench)
    bench.deny["eject"] = GuardRuling("capacity_floor", Decision.DENY, "too few", 5.0)
    heal(bench)
    names = {name for name, *_ in told(measure)}
    elsewhere = {name for name in METRICS if name.startswith("vagus_notifications")}
    assert METRICS.keys() - elsewhere <= names


def test_a_healing_in_numbers(bench: Bench) -> None:
    measure = measured(bench)
    incident = heal(bench)
    seen = told(measure)
    assert incident.closed_at is not None
    assert seen["vagus_incidents_closed_total", "resolved"] == 1
    lasted = seen["vagus_incident_duration_seconds_total", "resolved"]
    assert lasted == pytest.approx(incident.closed_at - incident.opened_at)
    assert seen["vagus_incidents", "open"] == 0
    assert seen["vagus_findings_opened_total", "hung", "gateway"] == 1
    assert seen["vagus_incidents_opened_total", incident.cause.fault] == 1
    actions = [key[1:] for key in seen if key[0] == "vagus_actions_total"]
    assert sorted(actions) == [
        ("eject", "R1", "contain", "applied"),
        ("restart", "R1", "treat", "applied"),
        ("restore", "R1", "return", "applied"),
        ("weight", "R1", "return", "applied"),
    ]
    assert seen["vagus_treatments_total", "restart", "R1", "healed"] == 1
    assert seen["vagus_verdicts_total", "healed"] == 3
    assert seen["vagus_verdicts_total", "worse"] == 0
    assert seen["vagus_rulings_total", "restart", "R1", "allow"] == 1
    assert seen["vagus_ledger_entries_total",] == bench.ledger.head().seq
    assert seen["vagus_overrides",] == 0


def test_what_the_gate_objected_to(bench: Bench) -> None:
    measure = measured(bench)
    bench.deny["eject"] = GuardRuling("capacity_floor", Decision.DENY, "too few", 5.0)
    heal(bench)
    seen = told(measure)
    assert seen["vagus_guard_objections_total", "capacity_floor", "deny"] == 1
    assert seen["vagus_rulings_total", "eject", "R1", "deny"] == 1
    assert seen["vagus_incidents", "escalated"] == 1


def test_asked_twice_nothing_counts_twice(bench: Bench) -> None:
    measure = measured(bench)
    heal(bench)
    first, second = told(measure), told(measure)
    moving = ("process_cpu_seconds_total", "process_resident_memory_bytes")
    assert {k: v for k, v in first.items() if k[0] not in moving} == {
        k: v for k, v in second.items() if k[0] not in moving
    }


def test_it_counts_from_its_own_start_on(bench: Bench) -> None:
    heal(bench)
    later = told(measured(bench))
    assert not [key for key in later if key[0] == "vagus_actions_total"]
    assert later["vagus_incidents_closed_total", "resolved"] == 1, "kept in a table"


def test_a_story_longer_than_a_page(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    said = Said(bench.ledger)
    monkeypatch.setattr("vagus.measuring._PAGE", 3)
    for number in range(10):
        bench.ledger.append("loop", f"{number}", "finding.opened", of_finding(HUNG))
    (count,) = [r.value for r in said.readings() if r.metric.name == "vagus_findings_opened_total"]
    assert count == 10


def test_senses_and_replicas(bench: Bench) -> None:
    seen = told(measured(bench))
    assert seen["vagus_senses_silent",] == 1
    assert seen["vagus_senses_watched",] == 9
    assert seen["vagus_findings", "hung"] == 2
    assert seen["vagus_rejections_total", "not_finite"] == 3
    assert seen["vagus_rejections_total", "log_line"] == 0, "told before it happens"
    assert seen["vagus_replica_condition", "chat", "chat-2", "sick"] == 1
    assert seen["vagus_replica_condition", "chat", "chat-2", "ok"] == 0
    ttft = "vagus_replica_time_to_first_token_seconds"
    assert seen[ttft, "chat", "chat-2", "95"] == 0.9
    assert (ttft, "chat", "chat-1", "95") not in seen, "nothing was seen of it"
    assert seen["vagus_mode", "auto"] == 1
    assert seen["vagus_mode", "shadow"] == 0


def test_without_the_state_the_rest_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = measured(bench)
    assert told(measure)["vagus_state_reachable",] == 1

    def away() -> None:
        raise StateUnavailable("it is locked")

    monkeypatch.setattr(bench.incidents, "by_state", away)
    seen = told(measure)
    assert seen["vagus_state_reachable",] == 0
    assert seen["vagus_evidence_total",] == 7
    assert seen["vagus_senses_trusted",] == 1
    assert not [key for key in seen if key[0] == "vagus_incidents"]


def test_how_late_the_loop_is(bench: Bench) -> None:
    clock = ManualClock()
    sources = replace(measured(bench)._sources, clock=clock)
    measure = Measured(sources)
    assert told(measure)["vagus_ticks_total",] == 0
    measure.ticked()
    clock.advance(1.0)
    measure.ticked()
    assert told(measure)["vagus_loop_lag_seconds",] == 0
    clock.advance(3.5)
    measure.ticked()
    seen = told(measure)
    assert seen["vagus_loop_lag_seconds",] == pytest.approx(2.5)
    assert seen["vagus_ticks_total",] == 3
    assert seen["vagus_last_tick_timestamp_seconds",] == clock.now()
    clock.jump(-3600)
    clock.advance(1.0)
    measure.ticked()
    assert told(measure)["vagus_loop_lag_seconds",] == 0, "a clock that was set is no lag"


def test_names_of_components_are_told_as_they_are(bench: Bench) -> None:
    assert {key[1:3] for key in told(measured(bench)) if key[0] == "vagus_replica_share"} == {
        (s.component, s.replica) for s in (Subject("chat", f"chat-{n}") for n in (1, 2, 3))
    }
