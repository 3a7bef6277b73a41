"""Every verified outcome counts once; licences are kept and lost by what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from vagus.clock import ManualClock
from vagus.learning import Learning
from vagus.licensing import issue
from vagus.model import (
    Cause,
    Check,
    Decision,
    Intent,
    IntentState,
    Licence,
    Outcome,
    Purpose,
    Remedy,
    Request,
    Ruling,
    Subject,
    Tier,
    Verdict,
)
from vagus.state.db import open_database
from vagus.state.ledger import Ledger
from vagus.state.licences import Licences
from vagus.state.trials import Trials

DAY = 86_400.0
CHAT_2 = Subject("chat", "chat-2")


@dataclass
class School:
    """Learning on real tables, fed with made-up outcomes of replacing replicas of chat."""

    clock: ManualClock
    trials: Trials
    licences: Licences
    ledger: Ledger
    learning: Learning
    tier: Tier = Tier.R2
    count: int = 0

    def granted(self, **changes: object) -> Licence:
        licence = Licence(
            id="L1",
            action="replace",
            component="chat",
            environment="default",
            fault="replica-hung",
            issued_at=self.clock.now(),
            expires_at=self.clock.now() + 30 * DAY,
            reason="14 of 14 healed",
        )
        return issue(replace(licence, **changes), self.licences, self.ledger)  # type: ignore[arg-type]

    def outcome(
        self, outcome: Outcome, *, fault: str = "replica-hung", target: Subject = CHAT_2
    ) -> Intent:
        self.count += 1
        request = Request(
            purpose=Purpose.TREAT,
            incident=f"i{self.count}",
            epoch=1,
            rung=1,
            attempt=1,
            remedy=Remedy("replace", target),
            cause=Cause(fault, target, 0.9),
            tier=Tier.R1,
        )
        acted = self.clock.now()
        ruling = Ruling(Decision.ALLOW, (), self.tier)  # what counts is the tier that the gate saw
        check = Check(target, 3, 5.0, 60.0)
        intent = Intent(request, ruling, IntentState.APPLIED, check, acted - 1, acted_at=acted)
        self.clock.advance(12.0)
        self.learning.learn(intent, Verdict(outcome, "seen", self.clock.now()))
        return intent

    def many(self, outcome: Outcome, times: int) -> None:
        for _ in range(times):
            self.outcome(outcome)

    @property
    def licence(self) -> Licence:
        licence = self.licences.get("L1")
        assert licence is not None
        return licence

    def events(self) -> list[str]:
        return [entry.event for entry in self.ledger.entries()]


@pytest.fixture
def school(tmp_path: Path) -> Iterator[School]:
    clock = ManualClock()
    database = open_database(f"sqlite:///{tmp_path / 'vagus.db'}", clock)
    trials, licences, ledger = Trials(database), Licences(database), Ledger(database)
    yield School(
        clock, trials, licences, ledger, Learning(trials, licences, ledger, environment="default")
    )
    database.close()


def test_an_outcome_is_a_trial_with_the_time_it_took(school: School) -> None:
    intent = school.outcome(Outcome.HEALED)
    (trial,) = school.trials.all()
    assert (trial.token, trial.fault, trial.target) == (intent.token, "replica-hung", CHAT_2)
    assert (trial.outcome, trial.took) == (Outcome.HEALED, 12.0)
    assert school.learning.record("replace", "replica-hung", "chat").samples == 1
    assert school.events() == ["learned"]


def test_learning_twice_is_learning_once(school: School) -> None:
    intent = school.outcome(Outcome.UNCHANGED)
    school.learning.learn(intent, Verdict(Outcome.UNCHANGED, "seen", school.clock.now()))
    assert len(school.trials.all()) == 1
    assert school.events() == ["learned"]


def test_what_is_inconclusive_teaches_nothing(school: School) -> None:
    school.granted()
    school.outcome(Outcome.INCONCLUSIVE)
    assert school.trials.all() == []
    assert school.licence.valid(school.clock.now())


def test_worse_revokes_at_once_whatever_was_proven(school: School) -> None:
    school.many(Outcome.HEALED, 60)
    school.granted()
    school.outcome(Outcome.WORSE, target=Subject("chat", "chat-3"))
    assert school.licence.revoked_because == "replace made chat/chat-3 worse"
    assert school.events()[-1] == "licence.revoked"


def test_worse_revokes_what_covers_it_and_nothing_else(school: School) -> None:
    others = {
        "elsewhere": {"component": "embed"},
        "other-fault": {"fault": "replica-slow"},
        "staging": {"environment": "staging"},
        "restart": {"action": "restart"},
        "any-fault": {"fault": ""},
        "manual": {"issued_by": "ada"},
    }
    for name, changes in others.items():
        school.granted(id=name, **changes)
    school.outcome(Outcome.WORSE)
    lost = {licence.id for licence in school.licences.all() if licence.revoked_at is not None}
    assert lost == {"any-fault", "manual"}


def test_one_failure_takes_a_bound_that_was_barely_enough(school: School) -> None:
    school.many(Outcome.HEALED, 14)
    school.granted()
    school.outcome(Outcome.UNCHANGED)
    assert "healed 14 of 15 times: that proves 72%, 80% are needed" in (
        school.licence.revoked_because
    )


def test_a_long_good_record_bears_a_failure(school: School) -> None:
    school.many(Outcome.HEALED, 40)
    school.granted()
    school.outcome(Outcome.UNCHANGED)
    assert school.licence.valid(school.clock.now())


def test_a_lower_tier_needs_less(school: School) -> None:
    school.tier = Tier.R1
    school.many(Outcome.HEALED, 14)
    school.granted()
    school.outcome(Outcome.UNCHANGED)
    assert school.licence.valid(school.clock.now())


def test_a_success_never_costs_a_licence(school: School) -> None:
    """A grant by hand has no record yet: the first success proves little, and takes nothing."""
    school.granted()
    school.outcome(Outcome.HEALED)
    assert school.licence.valid(school.clock.now())


def test_a_manual_grant_is_lost_when_the_record_refutes_it(school: School) -> None:
    school.granted(issued_by="ada")
    school.outcome(Outcome.UNCHANGED)
    assert school.licence.valid(school.clock.now())  # one bad outcome refutes nothing
    school.outcome(Outcome.UNCHANGED)
    assert "healed 0 of 2 times: that is at most 78%, 80% are needed" in (
        school.licence.revoked_because
    )


def test_a_licence_for_any_fault_is_measured_over_all_of_them(school: School) -> None:
    school.many(Outcome.HEALED, 40)
    school.granted(fault="")
    school.outcome(Outcome.UNCHANGED, fault="replica-slow")
    assert school.licence.valid(school.clock.now())
