"""Autonomy that is earned: what an experiment's verdict does to licences.

An experiment shows one thing of each remedy that acted in it: that it healed this fault, on this
component, in the time that its author gave it, or that it didn't. Enough of them, lately, prove a
rate of success, and then the remedy gets a licence that names them all: their number, what is
proven, the 95th percentile of the time it took, and when it has to be proven again. Experiments
that failed count against it, and take the licence away when what is left proves too little.

What says nothing of a remedy is left out: an experiment without a conclusive verdict, and one in
which the fault was taken for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from vagus import licensing
from vagus.model import (
    PROOF_NEEDED,
    VAGUS,
    Injection,
    Intent,
    Licence,
    Outcome,
    Purpose,
    Tier,
    TrackRecord,
    Trial,
)
from vagus.ports import Intents, Ledger, Licences, Trials

PASSED, DEVIATED = "passed", "deviated"  # the verdicts that are conclusive
LATELY = 30 * 86_400.0  # s; what was proven before that may not be so any more
RENEWED = 0.5  # of its time must be over before a licence is issued anew
_MOVES = frozenset({Purpose.TREAT})


class Proving:
    """``floor_of`` is an action's tier at its most harmless; R3 and above are people's, whatever
    is proven."""

    def __init__(
        self,
        trials: Trials,
        intents: Intents,
        licences: Licences,
        ledger: Ledger,
        environment: str,
        floor_of: Callable[[str], Tier],
    ) -> None:
        self._trials = trials
        self._intents = intents
        self._licences = licences
        self._ledger = ledger
        self._environment = environment
        self._floor_of = floor_of

    def take(self, injection: Injection) -> None:
        """Take in the verdict of an experiment that has just ended. Doing it again changes
        nothing."""
        if injection.verdict not in (PASSED, DEVIATED) or injection.ended_at is None:
            return
        tried = [intent for intent in self._tried(injection) if self._speaks(injection, intent)]
        if injection.verdict == DEVIATED:
            for intent in tried:
                self._trials.record(self._failure(injection, intent, injection.ended_at))
        for action, fault in sorted({_what(intent) for intent in tried}):
            self._weigh(action, fault, injection)

    def _tried(self, injection: Injection) -> Iterable[Intent]:
        for intent in self._intents.since(injection.asked_at, injection.target.component):
            request = intent.request
            ours = request.remedy.target == injection.target and request.purpose in _MOVES
            if ours and intent.acted_at is not None:
                yield intent

    @staticmethod
    def _speaks(injection: Injection, intent: Intent) -> bool:
        """Whether it was tried for the fault that was there."""
        return intent.request.cause.fault in injection.causes

    def _failure(self, injection: Injection, intent: Intent, at: float) -> Trial:
        """What was not verified by the end of an experiment that deviated has not healed in time.
        What was verified has its trial already, and that one stands."""
        began = intent.created_at if intent.acted_at is None else intent.acted_at
        action, fault = _what(intent)
        return Trial(
            token=intent.token,
            at=at,
            action=action,
            fault=fault,
            target=injection.target,
            environment=self._environment,
            outcome=Outcome.UNCHANGED,
            took=max(0.0, at - began),
            experiment=injection.id,
        )

    def _weigh(self, action: str, fault: str, injection: Injection) -> None:
        component, now = injection.target.component, injection.ended_at or 0.0
        needed = PROOF_NEEDED.get(max(self._floor_of(action), Tier.R1))
        if needed is None:
            return
        trials = self._of(action, fault, component, now - LATELY)
        record = TrackRecord.of(action, fault, component, trials)
        held = [
            licence
            for licence in self._licences.valid(now)
            if not licence.manual and licence.fault == fault
            and licence.covers(action, fault, component, self._environment)
        ]  # fmt: skip
        shown = f"{action} healed {fault} in {record.healed} of {record.samples} experiments"
        if record.bound < needed:
            because = f"{shown}: that proves {record.bound:.0%}, {needed:.0%} are needed"
            for licence in held:
                licensing.revoke(licence.id, because, self._licences, self._ledger, by=VAGUS)
        elif injection.verdict == PASSED and not any(_is_fresh(one, now) for one in held):
            experiments = tuple(sorted({trial.experiment for trial in trials}))
            licence = Licence(
                id=_name(action, fault, component, experiments),
                action=action,
                component=component,
                environment=self._environment,
                fault=fault,
                issued_at=now,
                expires_at=now + LATELY,
                reason=f"{shown}, which proves {record.bound:.0%}",
                samples=record.samples,
                bound=record.bound,
                took_p95=record.took_p95,
                experiments=experiments,
            )
            licensing.issue(licence, self._licences, self._ledger)

    def _of(self, action: str, fault: str, component: str, since: float) -> Sequence[Trial]:
        """What experiments showed of it since then."""
        return [
            trial
            for trial in self._trials.all()
            if trial.experiment
            and trial.at >= since
            and trial.environment == self._environment
            and (trial.action, trial.fault, trial.target.component) == (action, fault, component)
        ]


def _what(intent: Intent) -> tuple[str, str]:
    return intent.request.remedy.action, intent.request.cause.fault


def _is_fresh(licence: Licence, now: float) -> bool:
    return licence.expires_at - now > RENEWED * LATELY


def _name(action: str, fault: str, component: str, experiments: Sequence[str]) -> str:
    """The same proof is the same licence."""
    text = "\n".join((action, fault, component, *experiments))
    return f"lic-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
