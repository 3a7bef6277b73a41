from __future__ import annotations

import pytest

from vagus.clock import ManualClock
from vagus.errors import Conflict, NotFound, StateError
from vagus.model import Cause, Finding, Incident, IncidentState, Sense, Subject, Symptom
from vagus.state.db import Database
from vagus.state.incidents import Incidents

CHAT1 = Subject("chat", "chat-1")
CHAT2 = Subject("chat", "chat-2")


def cause(subject: Subject = CHAT1, fault: str = "replica-gone") -> Cause:
    return Cause(fault, subject, 0.9, "connections are refused")


def finding(sense: Sense = Sense.PROBE, **changes: object) -> Finding:
    known: dict[str, object] = {
        "subject": CHAT1,
        "symptom": Symptom.GONE,
        "sense": sense,
        "opened_at": 10.0,
        "last_seen_at": 11.0,
        "sentence": "connections are refused",
    }
    return Finding(**(known | changes))  # type: ignore[arg-type]


@pytest.fixture
def incidents(database: Database) -> Incidents:
    return Incidents(database)


def opened(incidents: Incidents, subject: Subject = CHAT1) -> Incident:
    return incidents.open(subject, cause(subject), [])


def test_opening_writes_the_incident_and_its_findings(
    incidents: Incidents, clock: ManualClock
) -> None:
    full = finding(samples=3, observed=2.5, expected=0.5, unit="s", since=9.0)
    incident = incidents.open(CHAT1, cause(), [full, finding(Sense.GATEWAY)])
    assert incident.state is IncidentState.OPEN
    assert incident.opened_at == clock.now()
    assert (incident.epoch, incident.version) == (1, 1)
    assert ":" not in incident.id  # workflow ids and tokens are split at it
    assert incidents.get(incident.id) == incident
    assert set(incidents.findings(incident.id)) == {full, finding(Sense.GATEWAY)}


def test_opening_what_is_open_joins_it(incidents: Incidents) -> None:
    first = incidents.open(CHAT1, cause(), [finding()])
    again = incidents.open(CHAT1, cause(), [finding(Sense.GATEWAY)])
    assert again == first
    assert len(incidents.findings(first.id)) == 2
    assert incidents.open(CHAT1, cause(fault="replica-slow"), []).id != first.id
    assert incidents.open(CHAT2, cause(CHAT2), []).id != first.id


def test_ids_are_new_when_the_first_one_is_over(incidents: Incidents) -> None:
    """Even at the very same instant."""
    first = opened(incidents)
    incidents.update(first, state=IncidentState.RESOLVED)
    second = opened(incidents)
    assert second.id != first.id


def test_an_unknown_incident(incidents: Incidents) -> None:
    with pytest.raises(StateError, match="no such incident"):
        incidents.get("inc-0")
    with pytest.raises(StateError, match="no such incident"):
        incidents.record_findings("inc-0", [finding()])


def test_a_change_by_somebody_else_is_a_conflict(incidents: Incidents) -> None:
    incident = opened(incidents)
    changed = incidents.update(incident, activity="restarting chat-1")
    assert changed.version == incident.version + 1
    with pytest.raises(Conflict, match="version 2 and not at 1"):
        incidents.update(incident, state=IncidentState.RESOLVED)
    assert incidents.get(incident.id) == changed


def test_what_is_not_given_stays(incidents: Incidents) -> None:
    incident = incidents.update(opened(incidents), activity="looking", note="why", retry_at=50.0)
    other = cause(fault="replica-hung")
    changed = incidents.update(incident, cause=other)
    assert changed.cause == other
    assert (changed.activity, changed.note, changed.retry_at) == ("looking", "why", 50.0)
    assert (changed.state, changed.epoch) == (IncidentState.OPEN, 1)
    assert incidents.update(changed, activity="").activity == ""


@pytest.mark.parametrize("state", [IncidentState.RESOLVED, IncidentState.SUBSIDED])
def test_closing_says_when(incidents: Incidents, clock: ManualClock, state: IncidentState) -> None:
    incident = opened(incidents)
    clock.advance(30.0)
    closed = incidents.update(incident, state=state, note="healed")
    assert closed.closed_at == incident.opened_at + 30.0
    clock.advance(30.0)
    assert incidents.update(closed, note="seen").closed_at == closed.closed_at
    assert incidents.active() == []


@pytest.mark.parametrize(
    "state", [IncidentState.OPEN, IncidentState.ESCALATED, IncidentState.SHADOWED]
)
def test_what_is_not_over_is_not_closed(incidents: Incidents, state: IncidentState) -> None:
    changed = incidents.update(opened(incidents), state=state)
    assert changed.closed_at is None
    assert incidents.active() == [changed]


def test_a_new_epoch_forgets_when_to_try_again(incidents: Incidents) -> None:
    incident = opened(incidents)
    escalated = incidents.update(incident, state=IncidentState.ESCALATED, retry_at=99.0)
    assert escalated.retry_at == 99.0
    assert incidents.update(escalated, note="nobody came").retry_at == 99.0
    again = incidents.update(incidents.get(incident.id), state=IncidentState.OPEN, new_epoch=True)
    assert (again.epoch, again.retry_at) == (2, None)
    assert again.workflow_id == f"{incident.id}:2"


def test_a_new_epoch_of_one_that_stays_escalated_forgets_it_too(incidents: Incidents) -> None:
    escalated = incidents.update(opened(incidents), state=IncidentState.ESCALATED, retry_at=99.0)
    assert incidents.update(escalated, new_epoch=True).retry_at is None


def test_closing_forgets_when_to_try_again(incidents: Incidents) -> None:
    escalated = incidents.update(opened(incidents), state=IncidentState.ESCALATED, retry_at=99.0)
    assert incidents.update(escalated, state=IncidentState.RESOLVED).retry_at is None


def test_the_most_urgent_come_first(incidents: Incidents, clock: ManualClock) -> None:
    subjects = [Subject("chat", f"chat-{n}") for n in range(5)]
    made = []
    for subject in subjects:
        made.append(opened(incidents, subject))
        clock.advance(1.0)
    incidents.update(made[0], state=IncidentState.SHADOWED)
    incidents.update(made[1], state=IncidentState.ESCALATED)
    incidents.update(made[2], state=IncidentState.RESOLVED)
    assert [i.subject for i in incidents.active()] == [
        subjects[3],
        subjects[4],
        subjects[1],
        subjects[0],
    ]
    assert [i.subject for i in incidents.recent(3)] == [subjects[4], subjects[3], subjects[2]]


def test_a_finding_is_one_row_that_is_updated_closed_and_opened_again(
    incidents: Incidents,
) -> None:
    incident = opened(incidents)
    incidents.record_findings(incident.id, [finding()])
    incidents.record_findings(incident.id, [finding(last_seen_at=12.0, samples=5)])
    assert incidents.findings(incident.id) == [finding(last_seen_at=12.0, samples=5)]
    incidents.record_findings(incident.id, [finding(closed_at=13.0)])
    assert incidents.findings(incident.id, open_only=True) == []
    assert incidents.findings(incident.id) == [finding(closed_at=13.0)]
    incidents.record_findings(incident.id, [finding(opened_at=20.0)])
    assert incidents.findings(incident.id, open_only=True) == [finding(opened_at=20.0)]
    assert incidents.get(incident.id).version == incident.version


def test_older_ones_follow_page_by_page_even_those_of_one_instant(
    incidents: Incidents, clock: ManualClock
) -> None:
    for number in range(7):
        opened(incidents, Subject("chat", f"chat-{number}"))
        if number % 3 == 2:
            clock.advance(1.0)
    everything = list(incidents.recent(99))
    assert len(everything) == 7
    paged: list[Incident] = list(incidents.recent(2))
    while page := incidents.recent(2, before=paged[-1].id):
        paged += page
    assert paged == everything
    with pytest.raises(NotFound):
        incidents.recent(2, before="inc-none")
