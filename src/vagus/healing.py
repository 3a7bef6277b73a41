"""The durable workflow of one incident: plan, gate, act, verify, next rung, return, or escalate.

It reads from top to bottom in :meth:`Healer.heal`. DBOS keeps the program counter: after a crash,
at any instant, the workflow goes on from its last finished step. That makes every step run *at
least* once, so what may happen only once is guarded by us: an intent is written before its action,
and whoever finds that an action had begun already does not repeat it but looks whether it took
effect (:meth:`.Steps.act`).

The incidents table is the truth and the workflow reads it again at every rung: it stops when the
incident was closed, or taken over by a later epoch. All waiting is durable sleep between short
steps, so a deadline survives a restart too.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from dbos import DBOS, SetWorkflowID

from vagus.healing_steps import Course, Steps
from vagus.model import (
    IncidentState,
    Intent,
    IntentState,
    Outcome,
    Plan,
    Purpose,
    Remedy,
    Subject,
    Verdict,
)

VERSION = "healing-1"  # pinned: workflows that wait must survive an upgrade of the source
RECOVERIES = 1000  # restarts after which a workflow is left alone: it may be what ends the process
LOOK_EVERY = 0.5  # s between two looks at an action's effect
PATIENCE = 90.0  # s that a treatment waits for a refusal that time can lift
ATTEMPTS = 2  # tries of one remedy whose action surely did not take effect


@DBOS.dbos_class()
class Healer(Steps):
    def ensure(self, incident: str, epoch: int) -> None:
        """Start the workflow ``incident:epoch`` unless it was started before."""
        with SetWorkflowID(f"{incident}:{epoch}"):
            DBOS.start_workflow(self.heal, incident, epoch)

    @DBOS.workflow(max_recovery_attempts=RECOVERIES)
    def heal(self, incident: str, epoch: int) -> str:
        course = Course(incident, epoch)
        plan = self.plan(course)
        if plan is None:
            return "superseded"
        since, subject = self.now(), self.successor(course, plan.target)
        if self.look_in(course) == "sick":
            refused = self._contain(course, plan, subject)
            if refused is not None:
                return self._give_up(course, plan, refused)
        elif not self.holds_traffic(course):
            note = "the evidence went away, and nothing was held back"
            return self.conclude(course, IncidentState.SUBSIDED, note)

        for treatment in (None, *plan.treatments):
            state, done = self.look_in(course), None
            if state == "superseded":
                return state
            if treatment is None and state == "sick":
                continue  # it does not go away by itself
            if treatment is not None:
                done = self._carry_out(course, treatment, Purpose.TREAT)
                if done is not None and done.state is not IntentState.APPLIED:
                    continue
                subject = self.successor(course, plan.target)
            verdict = self._watch(course, subject, done, since)
            if verdict.outcome is Outcome.HEALED:
                returned = self._give_back(course, plan, subject)
                if returned is Outcome.HEALED:
                    self._learn(done, verdict)
                    return self.conclude(course, IncidentState.RESOLVED, verdict.sentence)
                # What the return made worse is taken back: no new evidence is asked for.
                self._contain(course, plan, subject, Purpose.UNDO)
                verdict = replace(verdict, outcome=returned)
            self._learn(done, verdict)
        return self.conclude(course, IncidentState.ESCALATED, "nothing on the ladder helped")

    def _learn(self, done: Intent | None, verdict: Verdict) -> None:
        """Nothing was done: it went away by itself, which says nothing of any remedy."""
        if done is not None:
            self.learn(done, verdict)

    def _contain(
        self, course: Course, plan: Plan, subject: Subject, purpose: Purpose = Purpose.CONTAIN
    ) -> Intent | None:
        """Keep callers safe from ``subject``, the target or whoever replaced it. The first intent
        that was not carried out, or None if all were."""
        for remedy in plan.containment:
            done = self._carry_out(course, replace(remedy, target=subject), purpose)
            if done is not None and done.state is not IntentState.APPLIED:
                return done
        return None

    def _give_up(self, course: Course, plan: Plan, refused: Intent) -> str:
        """Callers can't be kept safe. In shadow, say what would have followed; else escalate."""
        if refused.state is IntentState.SHADOW:
            for remedy in plan.treatments[:1]:
                self.decide(course, remedy, Purpose.TREAT, next(course.rungs), 1)
            ladder = [r.action for r in (*plan.containment, *plan.treatments[:1])]
            note = f"shadow: would have done {', then '.join(ladder)}"
            return self.conclude(course, IncidentState.SHADOWED, note)
        why = refused.note or refused.ruling.reason
        note = f"{refused.request.remedy.action} was not done: {why}"
        return self.conclude(course, IncidentState.ESCALATED, note)

    def _carry_out(self, course: Course, remedy: Remedy, purpose: Purpose) -> Intent | None:
        """Ask, and act if allowed. A treatment that time alone stands against waits for it.

        None: the evidence went away while waiting, so there is nothing left to treat.
        """
        rung, waited, failures = next(course.rungs), 0.0, 0
        for attempt in itertools.count(1):
            intent = self.decide(course, remedy, purpose, rung, attempt)
            if intent.state is IntentState.WRITTEN:
                intent = self.act(course, intent.token)
                failures += intent.state is IntentState.FAILED
                if intent.state is not IntentState.FAILED or failures >= ATTEMPTS:
                    return intent
                continue
            wait = intent.ruling.retry_after
            if intent.state is not IntentState.REFUSED or wait is None:
                return intent
            waited += wait
            if purpose is not Purpose.TREAT or waited > PATIENCE:
                return intent
            DBOS.sleep(wait)
            if self.look_in(course) != "sick":
                return None
        raise AssertionError("unreachable")

    def _watch(
        self, course: Course, subject: Subject, done: Intent | None, since: float
    ) -> Verdict:
        """Look at ``subject`` until there is a verdict on what was ``done``; if nothing was, on
        how it has been ``since``."""
        check = done.check if done else self.check(subject)
        since = (done.finished_at or since) if done else since
        for look in itertools.count():
            verdict = self.look(course, subject, check, since, look)
            if verdict.outcome is not Outcome.INCONCLUSIVE:
                return verdict
            DBOS.sleep(LOOK_EVERY)
        raise AssertionError("unreachable")

    def _give_back(self, course: Course, plan: Plan, subject: Subject) -> Outcome:
        """Return traffic by steps and watch callers at each. If it isn't HEALED, it must be taken
        away again: UNCHANGED if callers suffered, so that whatever it was, it was not healed;
        INCONCLUSIVE if traffic could not be returned, which says nothing of the treatment."""
        for share in plan.return_steps if plan.containment else ():
            remedy = Remedy("restore", subject) if share >= 1 else Remedy("weight", subject, share)
            done = self._carry_out(course, remedy, Purpose.RETURN)
            if done is None or done.state is not IntentState.APPLIED:
                return Outcome.INCONCLUSIVE
            if self._watch(course, subject, done, 0.0).outcome is not Outcome.HEALED:
                return Outcome.UNCHANGED
        return Outcome.HEALED
