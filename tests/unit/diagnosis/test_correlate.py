"""Which findings make an incident together, which wait, and which are on their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from vagus.diagnosis.correlate import AFTERMATH_S, CALLER_GRACE_S, Assignments, correlate
from vagus.model import Cause, Finding, Incident, IncidentState, Sense, Subject, Symptom
from vagus.testing.evidence import stack

TOPOLOGY = stack(chat=3, embed=2, rag=1)
ONE, TWO = Subject("chat", "chat-1"), Subject("chat", "chat-2")
EMBED, RAG = Subject("embed", "embed-1"), Subject("rag", "rag-1")
T = 1_700_000_000.0


def finding(
    subject: Subject,
    symptom: Symptom,
    sense: Sense = Sense.GATEWAY,
    *,
    at: float = T,
    last_seen: float | None = None,
) -> Finding:
    seen = at if last_seen is None else last_seen
    return Finding(subject, symptom, sense, at, seen, f"{subject.replica} {symptom}", samples=4)


def incident(subject: Subject, name: str, *, closed_at: float | None = None) -> Incident:
    state = IncidentState.OPEN if closed_at is None else IncidentState.RESOLVED
    cause = Cause("replica-erroring", subject, 0.7)
    return Incident(name, subject, cause, state, T - 60, closed_at=closed_at)


def assign(
    findings: Sequence[Finding],
    *incidents: Incident,
    standing: Sequence[Finding] = (),
    now: float = T,
) -> Assignments:
    """``findings`` are new; ``standing`` were there before."""
    still_open = [f for f in findings if f.closed_at is None]
    return correlate(findings, [*standing, *still_open], incidents, TOPOLOGY, now)


def opened(assigned: Assignments) -> dict[Subject, set[tuple[str, Symptom]]]:
    return {
        o.subject: {(f.subject.replica, f.symptom) for f in o.findings} for o in assigned.opening
    }


def test_nothing_comes_of_nothing() -> None:
    assert correlate((), (), (), TOPOLOGY, T) == Assignments()


def test_findings_of_one_replica_are_one_incident() -> None:
    cut, error = finding(TWO, Symptom.CUTTING), finding(TWO, Symptom.ERRORING, Sense.PROBE)
    assigned = assign([cut, error])
    (opening,) = assigned.opening
    assert opening.subject == TWO
    assert opening.findings == (cut, error)
    assert opening.cause.fault == "replica-erroring"
    assert assigned.waiting == ()


def test_two_replicas_are_two_incidents() -> None:
    assigned = assign([finding(TWO, Symptom.SLOW), finding(ONE, Symptom.SLOW)])
    assert opened(assigned) == {
        ONE: {("chat-1", Symptom.SLOW)},
        TWO: {("chat-2", Symptom.SLOW)},
    }


def test_a_cut_stream_and_the_pipeline_that_suffers_are_one_incident() -> None:
    assigned = assign([finding(RAG, Symptom.ERRORING), finding(TWO, Symptom.CUTTING)])
    assert opened(assigned) == {TWO: {("chat-2", Symptom.CUTTING), ("rag-1", Symptom.ERRORING)}}
    assert assigned.opening[0].cause.fault == "replica-cutting-streams"


def test_a_caller_waits_for_a_cause_below_it_and_then_speaks_for_itself() -> None:
    suffering = finding(RAG, Symptom.ERRORING)
    early = assign([suffering], now=T + CALLER_GRACE_S / 2)
    assert early.opening == ()
    assert early.waiting == (suffering,)
    late = assign([], standing=[suffering], now=T + CALLER_GRACE_S)
    assert opened(late) == {RAG: {("rag-1", Symptom.ERRORING)}}


def test_a_waiting_caller_joins_the_incident_that_comes() -> None:
    suffering = finding(RAG, Symptom.CUTTING)
    assigned = assign([finding(TWO, Symptom.GONE, at=T + 1)], standing=[suffering], now=T + 1)
    assert opened(assigned) == {TWO: {("chat-2", Symptom.GONE), ("rag-1", Symptom.CUTTING)}}


@pytest.mark.parametrize(
    ("symptom", "sense"),
    [(Symptom.GONE, Sense.GATEWAY), (Symptom.HUNG, Sense.SCRAPE), (Symptom.GONE, Sense.SCRAPE)],
)
def test_what_cannot_come_from_below_waits_for_nothing(symptom: Symptom, sense: Sense) -> None:
    assigned = assign([finding(RAG, symptom, sense), finding(TWO, Symptom.SLOW)])
    assert set(opened(assigned)) == {RAG, TWO}


def test_who_depends_on_nothing_waits_for_nothing() -> None:
    assert opened(assign([finding(EMBED, Symptom.ERRORING)])) == {
        EMBED: {("embed-1", Symptom.ERRORING)}
    }


def test_late_findings_join_the_incident_of_their_subject() -> None:
    late = finding(TWO, Symptom.HUNG, Sense.PROBE, at=T + 20)
    assigned = assign([late], incident(TWO, "i-1"), incident(ONE, "i-2"), now=T + 20)
    assert assigned.joining == {"i-1": (late,)}
    assert assigned.opening == ()


def test_a_callers_finding_joins_the_incident_below_it() -> None:
    late = finding(RAG, Symptom.ERRORING, at=T + 20)
    assigned = assign([late], incident(TWO, "i-1"), now=T + 20)
    assert assigned.joining == {"i-1": (late,)}
    assert assigned.opening == assigned.waiting == ()


def test_its_own_incident_comes_before_one_below() -> None:
    late = finding(RAG, Symptom.ERRORING, at=T + 20)
    assigned = assign([late], incident(TWO, "i-1"), incident(RAG, "i-2"), now=T + 20)
    assert assigned.joining == {"i-2": (late,)}


def test_below_two_sick_replicas_a_caller_is_told_once() -> None:
    one = finding(TWO, Symptom.CUTTING, at=T)
    other = finding(EMBED, Symptom.SLOW, at=T + 1)
    assigned = assign([other, one, finding(RAG, Symptom.ERRORING, at=T + 1)], now=T + 1)
    assert opened(assigned) == {
        TWO: {("chat-2", Symptom.CUTTING), ("rag-1", Symptom.ERRORING)},
        EMBED: {("embed-1", Symptom.SLOW)},
    }


def test_closed_findings_join_and_open_nothing() -> None:
    closed = replace(finding(TWO, Symptom.SLOW), closed_at=T + 5)
    stray = replace(finding(ONE, Symptom.SLOW), closed_at=T + 5)
    assigned = assign([closed, stray], incident(TWO, "i-1"), now=T + 5)
    assert assigned.joining == {"i-1": (closed,)}
    assert assigned.opening == ()


def test_findings_that_stand_are_not_recorded_again_and_again() -> None:
    standing = finding(TWO, Symptom.SLOW)
    assigned = assign([], incident(TWO, "i-1"), standing=[standing], now=T + 9)
    assert assigned == Assignments()


def test_missing_metrics_open_nothing_and_join_what_there_is() -> None:
    silent = finding(TWO, Symptom.SILENT, Sense.SCRAPE)
    assert assign([silent]).opening == ()
    assert assign([silent], incident(TWO, "i-1")).joining == {"i-1": (silent,)}
    assert opened(assign([silent, finding(TWO, Symptom.SLOW)])) == {
        TWO: {("chat-2", Symptom.SILENT), ("chat-2", Symptom.SLOW)}
    }


def test_missing_metrics_below_explain_nothing() -> None:
    suffering = finding(RAG, Symptom.ERRORING)
    silent = finding(TWO, Symptom.SILENT, Sense.SCRAPE)
    assigned = assign([], standing=[suffering, silent], now=T + CALLER_GRACE_S)
    assert opened(assigned) == {RAG: {("rag-1", Symptom.ERRORING)}}


def test_what_is_left_over_from_a_resolved_incident_is_no_news() -> None:
    past = incident(TWO, "i-1", closed_at=T + 30)
    suffering = finding(RAG, Symptom.ERRORING, at=T)
    own = finding(TWO, Symptom.SLOW, at=T, last_seen=T + 29)
    assigned = assign([], past, standing=[suffering, own], now=T + 31)
    assert assigned.opening == ()
    assert set(assigned.waiting) == {suffering, own}
    later = assign([], past, standing=[suffering, own], now=T + 30 + AFTERMATH_S)
    assert opened(later) == {RAG: {("rag-1", Symptom.ERRORING)}}


def test_new_bad_evidence_after_a_resolved_incident_is_news() -> None:
    past = incident(TWO, "i-1", closed_at=T + 30)
    again = finding(TWO, Symptom.SLOW, at=T, last_seen=T + 33)
    assert set(opened(assign([], past, standing=[again], now=T + 33))) == {TWO}
    fresh = finding(TWO, Symptom.SLOW, at=T + 33)
    assert set(opened(assign([fresh], past, now=T + 33))) == {TWO}


def test_what_a_component_shows_as_a_whole_joins_the_replica_it_may_come_from() -> None:
    whole = finding(Subject("chat"), Symptom.SLOWER)
    known = incident(TWO, "inc-1")
    assert assign([whole], known).joining == {"inc-1": (whole,)}
    one = finding(TWO, Symptom.SLOWER, Sense.SCRAPE)
    assert opened(assign([whole, one])) == {TWO: {("chat-2", Symptom.SLOWER), ("", Symptom.SLOWER)}}


def test_a_component_waits_for_its_replicas_and_then_speaks_for_itself() -> None:
    whole = finding(Subject("chat"), Symptom.SLOWER)
    assert assign([whole]).waiting == (whole,)
    late = assign([], standing=[whole], now=T + CALLER_GRACE_S)
    assert opened(late) == {Subject("chat"): {("", Symptom.SLOWER)}}


def test_what_a_replica_suffers_does_not_come_from_its_component() -> None:
    assert opened(assign([finding(TWO, Symptom.SLOWER)], incident(Subject("chat"), "inc-1"))) == {
        TWO: {("chat-2", Symptom.SLOWER)}
    }


def test_a_learned_deviation_in_a_callers_own_numbers_may_come_from_below() -> None:
    queue = finding(RAG, Symptom.SATURATING, Sense.SCRAPE)
    assert assign([queue], incident(TWO, "inc-1")).joining == {"inc-1": (queue,)}


def test_a_sibling_that_carries_the_share_of_a_sick_one_is_no_second_incident() -> None:
    busy = finding(ONE, Symptom.SATURATING, Sense.SCRAPE)
    assert assign([busy], incident(TWO, "inc-1")).joining == {"inc-1": (busy,)}
    hung = finding(ONE, Symptom.HUNG)
    assert opened(assign([hung], incident(TWO, "inc-1"))) == {ONE: {("chat-1", Symptom.HUNG)}}


def test_two_siblings_that_slow_down_by_themselves_are_two_incidents() -> None:
    both = [finding(ONE, Symptom.SLOWER), finding(TWO, Symptom.SLOWER)]
    assert set(opened(assign(both))) == {ONE, TWO}
