"""What every verified outcome teaches: the record grows, and autonomy is kept or lost.

A trial is one remedy, once, with its verdict. It counts whether it was an experiment or a real
incident, and it counts once, by the token of the effect. What is inconclusive teaches nothing.

A licence is lost in two ways. A remedy that made things *worse* loses every licence that covers it,
at once: whatever was proven before, it is not true now. One that changed nothing moves the record:
an earned licence goes when what is proven falls below what its tier needs; a manual grant, which
never claimed a proof, when the record refutes it. A success never costs a licence.
"""

from __future__ import annotations

from vagus.entries import of_trial
from vagus.licensing import revoke
from vagus.model import (
    PROOF_NEEDED,
    VAGUS,
    Intent,
    Licence,
    Outcome,
    Subject,
    Tier,
    TrackRecord,
    Trial,
    Verdict,
)
from vagus.ports import Injections, Ledger, Licences, Trials

LONGEST_LEASE = 86_400.0  # s; no injection lasts longer


class Learning:
    """The records of the remedies of one ``environment``."""

    def __init__(
        self,
        trials: Trials,
        licences: Licences,
        ledger: Ledger,
        environment: str,
        injections: Injections | None = None,
    ) -> None:
        self._trials = trials
        self._licences = licences
        self._ledger = ledger
        self._environment = environment
        self._injections = injections

    def record(self, action: str, fault: str, component: str) -> TrackRecord:
        """How ``action`` fared so far for ``fault`` on the replicas of ``component``."""
        return self._trials.track_record(action, fault, component, self._environment)

    def learn(self, intent: Intent, verdict: Verdict) -> None:
        """Take in what became of ``intent``, a treatment. Safe to run again after a crash."""
        if verdict.outcome is Outcome.INCONCLUSIVE:
            return
        request = intent.request
        began = intent.created_at if intent.acted_at is None else intent.acted_at
        trial = Trial(
            token=intent.token,
            at=verdict.at,
            action=request.remedy.action,
            fault=request.cause.fault,
            target=request.remedy.target,
            environment=self._environment,
            outcome=verdict.outcome,
            took=max(0.0, verdict.at - began),
            experiment=self._experiment(request.remedy.target, began),
        )
        self._trials.record(trial)
        record = self.record(trial.action, trial.fault, trial.target.component)
        workflow = f"{request.incident}:{request.epoch}"
        facts = of_trial(trial, record) | {"tier": intent.tier.name}
        self._ledger.append(workflow, intent.token, "learned", facts)
        self._move_licences(trial, intent.tier)

    def _experiment(self, target: Subject, at: float) -> str:
        """The injection that was in ``target`` then; empty: it fell ill by itself."""
        if self._injections is None:
            return ""
        injections = self._injections.since(at - LONGEST_LEASE)
        return next((i.id for i in reversed(injections) if i.target == target and i.was_in(at)), "")

    def _move_licences(self, trial: Trial, tier: Tier) -> None:
        component = trial.target.component
        for licence in self._licences.valid(trial.at):
            if licence.covers(trial.action, trial.fault, component, self._environment):
                # A licence for any fault is measured by its record for all of them.
                record = self.record(trial.action, licence.fault, component)
                because = why_lost(licence, trial, record, tier)
                if because is not None:
                    revoke(licence.id, because, self._licences, self._ledger, by=VAGUS)


def why_lost(licence: Licence, trial: Trial, record: TrackRecord, tier: Tier) -> str | None:
    """Why ``licence``, which covers the remedy of ``trial``, is lost by it; None: it isn't."""
    if trial.outcome is Outcome.WORSE:
        return f"{trial.action} made {trial.target} worse"
    needed = PROOF_NEEDED.get(min(tier, Tier.R2), 0.0)
    if trial.outcome is not Outcome.UNCHANGED:
        return None
    shown = f"{trial.action} healed {record.healed} of {record.samples} times"
    if licence.manual and record.at_most < needed:
        return f"{shown}: that is at most {record.at_most:.0%}, {needed:.0%} are needed"
    if not licence.manual and record.bound < needed:
        return f"{shown}: that proves {record.bound:.0%}, {needed:.0%} are needed"
    return None
