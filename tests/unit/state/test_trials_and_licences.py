"""Trials count once, records are pooled, licences are written once and revoked once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.clock import ManualClock
from vagus.errors import StateError
from vagus.model import Licence, Outcome, Subject, TrackRecord, Trial
from vagus.state.db import Database, open_database
from vagus.state.licences import Licences
from vagus.state.trials import REMEMBERED, Trials

DAY = 86_400.0


def a_trial(token: str = "i:1:1:1", **changes: object) -> Trial:
    trial = Trial(
        token=token,
        at=1_000_000.0,
        action="restart",
        fault="replica-hung",
        target=Subject("chat", "chat-2"),
        environment="default",
        outcome=Outcome.HEALED,
        took=12.0,
    )
    return replace(trial, **changes)  # type: ignore[arg-type]


def a_licence(**changes: object) -> Licence:
    licence = Licence(
        id="L1",
        action="replace",
        component="chat",
        environment="default",
        fault="replica-hung",
        issued_at=1_000_000.0,
        expires_at=1_000_000.0 + 30 * DAY,
        reason="29 of 29 healed",
        samples=29,
        bound=0.9,
        took_p95=14.5,
        experiments=("exp-1", "exp-2"),
    )
    return replace(licence, **changes)  # type: ignore[arg-type]


@pytest.fixture
def trials(database: Database) -> Trials:
    return Trials(database)


@pytest.fixture
def licences(database: Database) -> Licences:
    return Licences(database)


# --- trials ---------------------------------------------------------------------------------------


def test_a_trial_is_kept_as_it_was_and_counts_once(trials: Trials) -> None:
    first = a_trial(experiment="exp-7")
    assert trials.record(first)
    assert not trials.record(replace(first, outcome=Outcome.WORSE))
    assert trials.all() == [first]


def test_replicas_are_pooled_and_everything_else_is_kept_apart(trials: Trials) -> None:
    others = [
        a_trial("a"),
        a_trial("b", target=Subject("chat", "chat-3"), outcome=Outcome.UNCHANGED),
        a_trial("c", action="replace"),
        a_trial("d", fault="replica-slow"),
        a_trial("e", target=Subject("embed", "embed-1")),
        a_trial("f", environment="staging"),
        a_trial("g", outcome=Outcome.INCONCLUSIVE),
    ]
    for trial in others:
        trials.record(trial)
    record = trials.track_record("restart", "replica-hung", "chat", "default")
    assert (record.samples, record.healed, record.worse) == (2, 1, 0)
    all_faults = trials.track_record("restart", "", "chat", "default")
    assert (all_faults.samples, all_faults.healed) == (3, 2)


def test_what_was_never_tried_has_an_empty_record(trials: Trials) -> None:
    record = trials.track_record("restart", "replica-hung", "chat", "default")
    assert record == TrackRecord("restart", "replica-hung", "chat")
    assert "never tried" in str(record)


def test_only_the_newest_outcomes_make_the_record(trials: Trials) -> None:
    for n in range(10):
        trials.record(a_trial(f"old-{n}", at=float(n), outcome=Outcome.WORSE))
    for n in range(REMEMBERED):
        trials.record(a_trial(f"new-{n}", at=100.0 + n))
    record = trials.track_record("restart", "replica-hung", "chat", "default")
    assert (record.samples, record.worse) == (REMEMBERED, 0)
    assert [trial.token for trial in trials.all(limit=2)] == ["new-199", "new-198"]


# --- licences -------------------------------------------------------------------------------------


def test_a_licence_is_kept_as_it_was_issued(
    licences: Licences, url: str, clock: ManualClock
) -> None:
    licences.issue(a_licence())
    again = open_database(url, clock)
    try:
        assert Licences(again).all() == [a_licence()]
    finally:
        again.close()


def test_issuing_again_changes_nothing(licences: Licences) -> None:
    licences.issue(a_licence())
    assert licences.issue(a_licence(bound=0.1, reason="other")) == a_licence()
    licences.revoke("L1", "it made things worse")
    assert licences.issue(a_licence()).revoked_because == "it made things worse"


def test_it_is_valid_from_issue_to_expiry_unless_revoked(
    licences: Licences, clock: ManualClock
) -> None:
    licence = licences.issue(a_licence())
    assert licences.valid(licence.issued_at - 1) == []
    assert licences.valid(licence.issued_at) == [licence]
    assert licences.valid(licence.expires_at) == []
    clock.advance(60.0)
    revoked = licences.revoke("L1", "worse on chat-2")
    assert revoked.revoked_at == clock.now()
    assert licences.valid(licence.issued_at + 61) == []
    assert licences.all() == [revoked]


def test_the_first_reason_for_revoking_stays(licences: Licences, clock: ManualClock) -> None:
    licences.issue(a_licence())
    first = licences.revoke("L1", "worse on chat-2")
    clock.advance(60.0)
    assert licences.revoke("L1", "a person changed their mind") == first


def test_what_is_not_there_can_not_be_revoked(licences: Licences) -> None:
    assert licences.get("L9") is None
    with pytest.raises(StateError, match="no such licence"):
        licences.revoke("L9", "why not")


@pytest.mark.parametrize("changes", [{"component": ""}, {"expires_at": 0.0}])
def test_a_licence_for_anything_or_for_no_time_is_refused(
    licences: Licences, changes: dict[str, object]
) -> None:
    with pytest.raises(StateError, match="is none"):
        licences.issue(a_licence(**changes))
    assert licences.all() == []
