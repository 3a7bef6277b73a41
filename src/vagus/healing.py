"""The durable workflow of one incident: plan, gate, act, verify, next rung, return, or escalate.

It reads from top to bottom in :meth:`Healer.heal`. DBOS keeps the program counter: after a crash,
at any instant, the workflow goes on from its last finished step. That makes every step run *at
least* once, so what may happen only once is guarded by us (:mod:`vagus.acting`). What people must
decide is asked of them (:mod:`vagus.asking`), and waits as durably as everything else.

The incidents table is the truth and the workflow reads it again at every rung: it stops when the
incident was closed, or taken over by a later epoch. All waiting is durable sleep between short
steps, so a deadline survives a restart too.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import replace

from dbos import DBOS, SetWorkflowID

from vagus.asking import Heard
from vagus.healing_steps import ASK_AGAIN, RECONSIDER, Course, Steps
from vagus.model import (
    Decision,
    IncidentState,
    Intent,
    IntentState,
    Outcome,
    Plan,
    ProposalState,
    Purpose,
    Remedy,
    Subject,
    Verdict,
)

VERSION = "healing-3"  # pinned: workflows that wait must survive an upgrade of the source
RECOVERIES = 1000  # restarts after which a workflow is left alone: it may be what ends the process
LOOK_EVERY = 0.5  # s between two looks at an action's effect
PATIENCE = 90.0  # s that a treatment waits for a refusal that time can lift
LISTEN = 30.0  # s between two looks at a proposal, if nobody says that it was decided
ATTEMPTS = 2  # tries of one remedy whose action surely did not take effect
LAPSES = 3  # times that evidence may go away, and come back, before anything was done for it


class Superseded(Exception):
    """The incident is over, or a later epoch has it: this workflow touches nothing more."""


@DBOS.dbos_class()
class Healer(Steps):
    def ensure(self, incident: str, epoch: int) -> None:
        """Start the workflow ``incident:epoch`` unless it was started before."""
        with SetWorkflowID(f"{incident}:{epoch}"):
            DBOS.start_workflow(self.heal, incident, epoch)

    def wake(self, proposal: str) -> None:
        """Let the workflow that waits for this proposal look at it now, in whatever process it
        runs. Doing so again does nothing: the proposal's row is the truth."""
        workflow = proposal.rsplit(":", 2)[0]
        DBOS.send(workflow, "decided", topic=proposal, idempotency_key=f"{proposal}:decided")

    @DBOS.workflow(max_recovery_attempts=RECOVERIES)
    def heal(self, incident: str, epoch: int) -> str:
        try:
            return self._heal(Course(incident, epoch))
        except Superseded:
            return "superseded"

    def _heal(self, course: Course) -> str:
        plan = self.plan(course)
        if plan is None:
            raise Superseded
        subject = self.successor(course, plan.target)
        if self._is_sick(course):
            refused = self._contain(course, plan, subject)
            if refused is not None:
                return self._give_up(course, plan, refused)

        not_done: list[str] = []
        ladder, lapses = deque[Remedy | None]((None, *plan.treatments)), 0
        while ladder:
            treatment, done, sick = ladder.popleft(), None, self._is_sick(course)
            if treatment is None:
                if sick:
                    continue  # it does not go away by itself
                if not self.holds_traffic(course):
                    note = "the evidence went away, and nothing was held back"
                    return self.conclude(course, IncidentState.SUBSIDED, note)
            else:
                done = self._carry_out(course, treatment, Purpose.TREAT)
                if done is not None and _is_final(done):
                    return self._give_up(course, plan, done)
                if done is not None and done.state is not IntentState.APPLIED:
                    not_done.append(_why_not(done))
                    continue
                subject = self.successor(course, plan.target)
            verdict = self._watch(course, subject, done)
            if verdict.outcome is Outcome.HEALED:
                returned = self._give_back(course, plan, subject)
                if returned is Outcome.HEALED:
                    self._learn(done, verdict)
                    return self.conclude(course, IncidentState.RESOLVED, verdict.sentence)
                # What the return made worse is taken back: no new evidence is asked for.
                self._contain(course, plan, subject, Purpose.UNDO)
                verdict = replace(verdict, outcome=returned)
            self._learn(done, verdict)
            if verdict.outcome is Outcome.WORSE and done is not None and self.undoable(done):
                left = self._take_back(course, done)
                if left is not None:
                    return self._give_up(course, plan, left)
            if treatment is not None and done is None and lapses < LAPSES:
                ladder.appendleft(treatment)  # it was not done, so it is not spent
                lapses += 1
        note = "; ".join(("nothing on the ladder helped", *not_done))
        return self.conclude(course, IncidentState.ESCALATED, note)

    def _is_sick(self, course: Course) -> bool:
        state = self.look_in(course)
        if state == "superseded":
            raise Superseded
        return state == "sick"

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
            while (
                done := self._carry_out(course, replace(remedy, target=subject), purpose)
            ) is None:
                if not self._is_sick(course):
                    return None
            if done.state is not IntentState.APPLIED:
                return done
        return None

    def _take_back(self, course: Course, done: Intent) -> Intent | None:
        """What made things worse is taken back at once. The intent that could not, or None."""
        remedy = done.request.remedy
        undone = self._carry_out(course, remedy, Purpose.UNDO, undoes=done.token)
        return undone if undone is None or undone.state is not IntentState.APPLIED else None

    def _give_up(self, course: Course, plan: Plan, refused: Intent) -> str:
        """It goes on with people. In shadow, say what would have followed."""
        request = refused.request
        if refused.state is IntentState.SHADOW:
            ladder = [request.remedy.action]
            if request.purpose is Purpose.CONTAIN:
                for remedy in plan.treatments[:1]:
                    self.decide(course, remedy, Purpose.TREAT, next(course.rungs), 1)
                    ladder.append(remedy.action)
            note = f"shadow: would have done {', then '.join(ladder)}"
            if not self.holds_traffic(course):
                return self.conclude(course, IncidentState.SHADOWED, note)
            note = f"{note}; what was held back before is still held back"
            return self.conclude(course, IncidentState.ESCALATED, note)
        patience = ASK_AGAIN if _people_refused(refused) else RECONSIDER
        return self.conclude(course, IncidentState.ESCALATED, _why_not(refused), patience)

    def _carry_out(
        self, course: Course, remedy: Remedy, purpose: Purpose, undoes: str = ""
    ) -> Intent | None:
        """Ask, and act if allowed. What people must decide waits for them, and a treatment that
        time alone stands against waits for that; each is then asked for anew.

        None: the evidence went away meanwhile, so there is nothing left to do.
        """
        rung, waited, failures = next(course.rungs), 0.0, 0
        for attempt in itertools.count(1):
            intent = self.decide(course, remedy, purpose, rung, attempt, undoes)
            if intent.state is IntentState.WRITTEN:
                intent = self.act(course, intent.token)
                failures += intent.state is IntentState.FAILED
                if intent.state is not IntentState.FAILED or failures >= ATTEMPTS:
                    return intent
            elif intent.state is IntentState.ASKED:
                heard = self._ask_people(course, intent)
                if heard.state is ProposalState.VOID:
                    self._is_sick(course)
                    return None
                if heard.state is not ProposalState.APPROVED:
                    return heard.intent
            else:
                wait = intent.ruling.retry_after
                if intent.state is not IntentState.REFUSED or wait is None:
                    return intent
                waited += wait
                if purpose is not Purpose.TREAT or waited > PATIENCE:
                    return intent
                DBOS.sleep(wait)
                if not self._is_sick(course):
                    return None
        raise AssertionError("unreachable")

    def _ask_people(self, course: Course, asked: Intent) -> Heard:
        """Wait for people, for as long as their question stands, and hold nothing meanwhile. The
        proposal is looked at after every message and at least every so often: messages get lost."""
        self.propose(course, asked.token)
        while (heard := self.hear(course, asked.token)).state is ProposalState.OPEN:
            DBOS.recv(asked.token, timeout_seconds=min(LISTEN, heard.left))
        return heard

    def _watch(self, course: Course, subject: Subject, done: Intent | None) -> Verdict:
        """Look at ``subject`` until there is a verdict on what was ``done``; if nothing was, on
        how it is from now on: then what is found counts at once, for nothing is starting."""
        check = done.check if done else self.check(subject)
        since = (done.finished_at if done else None) or self.now()
        for look in itertools.count():
            verdict = self.look(course, subject, check, since, look, patient=done is not None)
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
            if self._watch(course, subject, done).outcome is not Outcome.HEALED:
                return Outcome.UNCHANGED
        return Outcome.HEALED


def _why_not(refused: Intent) -> str:
    request = refused.request
    what = f"{request.remedy.action} was not {'taken back' if request.undoes else 'done'}"
    return f"{what}: {refused.note or refused.ruling.reason}"


def _people_refused(intent: Intent) -> bool:
    """Whether people said no to it, or nothing in time."""
    return intent.state is IntentState.REFUSED and intent.ruling.decision is Decision.ASK


def _is_final(intent: Intent) -> bool:
    """Whether the ladder ends with it: people's no is one to going on alone, and what is only
    thought of in shadow can't be verified."""
    return intent.state is IntentState.SHADOW or _people_refused(intent)
