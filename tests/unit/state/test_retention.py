"""What is over for long is forgotten, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from vagus.clock import ManualClock
from vagus.model import (
    Answer,
    Ask,
    Cause,
    Check,
    Decision,
    IncidentState,
    Proposal,
    ProposalState,
    Ruling,
    Sheet,
    Subject,
)
from vagus.state import retention, tables
from vagus.state.db import Database
from vagus.state.incidents import Incidents
from vagus.state.intents import Intents
from vagus.state.ledger import Ledger
from vagus.state.proposals import Proposals
from vagus.state.retention import EVERY, Forgotten, Retention
from vagus.testing.cases import a_finding, a_request

DAY = 86400.0
SHEET = Sheet("", (), "", 0.9, "", "", "", "", "")


def an_incident(database: Database, name: str, state: IncidentState | None) -> str:
    """With a finding, an intent, and a proposal that was answered; None: it is open."""
    subject = Subject("chat", name)
    incidents = Incidents(database)
    found = a_finding(subject=subject)
    incident = incidents.open(subject, Cause("replica-hung", subject, 0.9), [found])
    request = replace(a_request(target=subject), incident=incident.id)
    ruling = Ruling(Decision.DENY, ())
    Intents(database).decide(request, Check(subject, 3, 5, 60), lambda: ruling, shadow=False)
    now = database.clock.now()
    proposal = Proposal(request, (Ask(1),), "b", SHEET, now, now + 900)
    Proposals(database).open(proposal)
    answer = Answer("ann", False, now)
    Proposals(database).answer(proposal.id, answer, lambda _: ProposalState.DENIED)
    if state is not None:
        incidents.update(incident, state=state)
    return incident.id


def left(database: Database) -> dict[str, int]:
    kept = (tables.incidents, tables.findings, tables.intents, tables.proposals, tables.answers)
    with database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in kept
        }


@pytest.mark.parametrize("state", [IncidentState.RESOLVED, IncidentState.SUBSIDED])
def test_the_details_of_what_is_over_for_long(
    database: Database, clock: ManualClock, state: IncidentState
) -> None:
    old = an_incident(database, "chat-1", state)
    clock.advance(30 * DAY)
    an_incident(database, "chat-2", state)
    clock.advance(1.0)
    assert Retention(database, 30 * DAY, clock).run() == Forgotten(1, 1, 1, 1)
    assert left(database) == {
        "incidents": 2,
        "findings": 1,
        "intents": 1,
        "proposals": 1,
        "answers": 1,
    }
    incident = Incidents(database).get(old)
    assert (incident.state, incident.cause.fault) == (state, "replica-hung")


@pytest.mark.parametrize(
    "state", [None, IncidentState.OPEN, IncidentState.ESCALATED, IncidentState.SHADOWED]
)
def test_what_is_not_over_is_kept_however_old(
    database: Database, clock: ManualClock, state: IncidentState | None
) -> None:
    an_incident(database, "chat-1", state)
    clock.advance(365 * DAY)
    assert Retention(database, DAY, clock).run() == Forgotten()
    assert left(database)["intents"] == 1


def test_the_ledger_says_what_was_forgotten_and_loses_nothing(
    database: Database, clock: ManualClock
) -> None:
    ledger = Ledger(database)
    ledger.append("w", "1", "said")
    head = ledger.head()
    an_incident(database, "chat-1", IncidentState.RESOLVED)
    clock.advance(2 * DAY)
    Retention(database, DAY, clock).run()
    assert ledger.verify(head) == []
    said = ledger.tail(1)[0]
    assert (said.event, said.facts["incidents"], said.facts["intents"]) == ("forgotten", 1, 1)
    Retention(database, DAY, clock).run()
    assert ledger.tail(1)[0] == said


def test_it_goes_by_small_steps(
    database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for n in range(5):
        an_incident(database, f"chat-{n}", IncidentState.RESOLVED)
    clock.advance(2 * DAY)
    assert Retention(database, DAY, clock).run() == Forgotten(5, 5, 5, 5)


def test_without_an_age_everything_is_kept(database: Database, clock: ManualClock) -> None:
    an_incident(database, "chat-1", IncidentState.RESOLVED)
    clock.advance(3650 * DAY)
    kept = Retention(database, None, clock)
    assert not kept.due()
    assert kept.run() == Forgotten()


def test_it_is_due_at_once_and_every_hour(database: Database, clock: ManualClock) -> None:
    kept = Retention(database, DAY, clock)
    assert kept.due()
    assert not kept.due()
    clock.advance(EVERY)
    assert kept.due()


def test_a_state_that_does_not_answer_is_not_the_end(
    database: Database, clock: ManualClock
) -> None:
    kept = Retention(database, DAY, clock)
    database.close()
    with capture_logs() as logs:
        assert kept.run() == Forgotten()
    assert [entry["event"] for entry in logs] == ["state.not_forgotten"]
