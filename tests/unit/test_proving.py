"""What experiments earn, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from vagus.clock import ManualClock
from vagus.learning import Learning
from vagus.model import (
    Cause,
    Check,
    Decision,
    Injection,
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
from vagus.policy.tiers import floor_of
from vagus.proving import DEVIATED, LATELY, PASSED, Proving
from vagus.state.db import Database, open_database
from vagus.state.injections import Injections
from vagus.state.intents import Intents
from vagus.state.ledger import Ledger
from vagus.state.licences import Licences
from vagus.state.trials import Trials

CHAT = Subject("chat", "chat-1")
HERE = "test"


class Bench:
    """Experiments as they end, over real stores."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.clock = clock
        self.ledger = Ledger(database)
        self.trials, self.licences = Trials(database), Licences(database)
        self.intents, self.injections = Intents(database), Injections(database)
        self.learning = Learning(self.trials, self.licences, self.ledger, HERE, self.injections)
        self.proving = Proving(
            self.trials, self.intents, self.licences, self.ledger, HERE, floor_of
        )
        self._count = 0

    def experiment(
        self,
        verdict: str = PASSED,
        *,
        action: str = "restart",
        diagnosis: str = "replica-gone",
        outcome: Outcome | None = Outcome.HEALED,
        target: Subject = CHAT,
    ) -> Injection:
        """One in which ``action`` acted for ``diagnosis``, and what was verified of it."""
        self._count += 1
        injection = Injection(
            id=f"inj-{self._count:03}", experiment="exp", fault="kill", target=target,
            does="SIGKILL", lease=100.0, cap=0.5, by="ada", asked_at=self.clock.now(),
            causes=("replica-gone",),
        )  # fmt: skip
        allowed = Ruling(Decision.ALLOW, ())
        self.injections.decide(injection, lambda: allowed)
        self.clock.advance(2.0)
        intent = self._act(action, diagnosis, target)
        self.clock.advance(10.0)
        if outcome is not None:
            self.learning.learn(intent, Verdict(outcome, "so it is", self.clock.now()))
        ended = self.injections.end(injection.id, verdict, "")
        self.proving.take(ended)
        self.clock.advance(60.0)
        return ended

    def _act(self, action: str, diagnosis: str, target: Subject) -> Intent:
        request = Request(
            purpose=Purpose.TREAT, incident=f"inc-{self._count}", epoch=1, rung=0, attempt=1,
            remedy=Remedy(action, target), cause=Cause(diagnosis, target, 0.9, "it is gone"),
            tier=Tier.R1,
        )  # fmt: skip
        check = Check(target, min_probes=3, hold=2.0, timeout=30.0)
        allowed = Ruling(Decision.ALLOW, ())
        self.intents.decide(request, check, lambda: allowed, shadow=False)
        self.intents.begin(request.token)
        return self.intents.finish(request.token, IntentState.APPLIED)

    def held(self) -> list[Licence]:
        return list(self.licences.valid(self.clock.now()))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    clock = ManualClock(start=1_000_000.0)
    with closing(open_database(f"sqlite:///{tmp_path / 'vagus.db'}", clock)) as database:
        yield Bench(database, clock)


@pytest.mark.parametrize(("action", "needed"), [("restart", 5), ("replace", 14)])
def test_enough_passes_in_a_row_earn_a_licence(bench: Bench, action: str, needed: int) -> None:
    for number in range(needed):
        assert bench.held() == []
        replica = Subject("chat", f"chat-{number % 3}")  # they are pooled
        bench.experiment(action=action, target=replica)
    (licence,) = bench.held()
    assert not licence.manual
    assert (licence.action, licence.fault, licence.component) == (action, "replica-gone", "chat")
    assert (licence.samples, len(licence.experiments)) == (needed, needed)
    assert licence.took_p95 == pytest.approx(10.0)
    assert licence.expires_at == pytest.approx(licence.issued_at + LATELY)


def test_a_failure_takes_it_back_and_says_why(bench: Bench) -> None:
    for _ in range(5):
        bench.experiment()
    assert len(bench.held()) == 1
    bench.experiment(DEVIATED, outcome=None)
    assert bench.held() == []
    (lost,) = bench.licences.all()
    assert "5 of 6 experiments" in lost.revoked_because


def test_what_is_proven_well_bears_a_failure(bench: Bench) -> None:
    for _ in range(20):
        bench.experiment()
    bench.experiment(DEVIATED, outcome=Outcome.UNCHANGED)
    assert len(bench.held()) == 1


def test_a_wrong_diagnosis_neither_proves_nor_refutes(bench: Bench) -> None:
    for _ in range(8):
        bench.experiment(diagnosis="replica-slow")
    assert bench.held() == []
    for _ in range(5):
        bench.experiment()
    bench.experiment(DEVIATED, diagnosis="replica-slow", outcome=None)
    assert len(bench.held()) == 1


@pytest.mark.parametrize("verdict", ["aborted", "inconclusive", "error"])
def test_what_is_inconclusive_costs_nothing(bench: Bench, verdict: str) -> None:
    for _ in range(5):
        bench.experiment()
    bench.experiment(verdict, outcome=None)
    assert len(bench.held()) == 1


def test_people_decide_about_a_rollback_whatever_is_proven(bench: Bench) -> None:
    for _ in range(30):
        bench.experiment(action="rollback")
    assert bench.held() == []


def test_what_was_proven_long_ago_proves_nothing(bench: Bench) -> None:
    for _ in range(4):
        bench.experiment()
    bench.clock.advance(LATELY)
    bench.experiment()
    assert bench.held() == []


def test_a_licence_is_renewed_when_half_of_its_time_is_over(bench: Bench) -> None:
    for _ in range(6):
        bench.experiment()
    assert len(bench.held()) == 1
    bench.clock.advance(0.6 * LATELY)
    bench.experiment()
    assert len(bench.held()) == 2


def test_taking_a_verdict_in_again_changes_nothing(bench: Bench) -> None:
    for _ in range(5):
        last = bench.experiment()
    before = (bench.licences.all(), bench.trials.all())
    bench.proving.take(last)
    assert (bench.licences.all(), bench.trials.all()) == before


def test_real_incidents_prove_nothing_here(bench: Bench) -> None:
    intent = bench._act("restart", "replica-gone", CHAT)
    bench.learning.learn(intent, Verdict(Outcome.HEALED, "it is well", bench.clock.now()))
    (trial,) = bench.trials.all()
    assert trial.experiment == ""
