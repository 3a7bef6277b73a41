"""The steps of the healing workflow: each short, each recorded, each safe to run again.

A step runs at least once. What may happen only once is guarded by the intent: it is written before
its action, and whoever finds that an action had begun does not repeat it (:mod:`vagus.acting`).
Everything else a step does is either reading or idempotent: deciding the same token twice gives the
first ruling, and the ledger takes an event of one step once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from dbos import DBOS, DBOSConfiguredInstance

from vagus.acting import UNFINISHED, Acting, Call
from vagus.asking import Asking, Heard
from vagus.clock import Clock
from vagus.config import Settings
from vagus.entries import of_intent, of_proposal, of_ruling, of_verdict
from vagus.errors import ActionError, Conflict, StateUnavailable
from vagus.learning import Learning
from vagus.model import (
    Aspect,
    Check,
    IncidentState,
    Intent,
    IntentState,
    Outcome,
    Plan,
    ProposalState,
    Purpose,
    Remedy,
    Request,
    Ruling,
    Subject,
    Tier,
    TrackRecord,
    Verdict,
)
from vagus.planning.plan import Playbooks
from vagus.ports import Incidents, Intents, Leases, Ledger, Memory, Overrides, Proposals
from vagus.remediation.action import Action, Order, Settling
from vagus.topology import Topology
from vagus.verification.observe import judge as verify

P = ParamSpec("P")
R = TypeVar("R")

STATE_RETRY = 0.5  # s between two tries to reach the state
BEFORE = 60.0  # s of searches that those after an action are compared with
RECONSIDER = 60.0  # s until an escalated incident is tried again, if the evidence holds
ASK_AGAIN = 3600.0  # s until people are asked again who said no, or nothing
PACE = 4.0  # times its siblings' time to first token that still counts as healthy ...
MAX_FAILED_SHARE = 0.05  # of callers' requests while traffic returns
PACE_FLOOR = 1.0  # ... and never less than this above it, in s: small numbers are noisy


def step(function: Callable[P, R]) -> Callable[P, R]:
    """A step of the workflow. While the state can't be reached it waits, where it is, for as long
    as that takes: an error would be written down as the step's outcome, and end the workflow."""
    patient = DBOS.step(
        retries_allowed=True,
        interval_seconds=STATE_RETRY,
        backoff_rate=1.0,
        max_attempts=1_000_000_000,
        should_retry=lambda error: isinstance(error, StateUnavailable),
    )
    return patient(function)


@dataclass(frozen=True)
class Hands:
    """What the workflow works with. ``app.py`` puts it together."""

    clock: Clock
    settings: Settings
    incidents: Incidents
    intents: Intents
    overrides: Overrides
    leases: Leases
    proposals: Proposals
    ledger: Ledger
    memory: Memory
    learning: Learning
    playbooks: Playbooks
    actions: Mapping[str, Action]
    topology: Callable[[], Topology]
    routed: Callable[[str], bool]
    tier: Callable[[Remedy], Tier]
    judge: Callable[[Request], Ruling]
    shadow: Callable[[], bool]
    stopped: Callable[[], str | None]
    forget: Callable[[Subject, float], None]  # what was seen before the given time
    call: Call


class Course:
    """One run through the ladder of one incident; counts the remedies as they are asked for."""

    def __init__(self, incident: str, epoch: int) -> None:
        self.incident = incident
        self.epoch = epoch
        self.workflow = f"{incident}:{epoch}"
        self.rungs = itertools.count()


class Steps(DBOSConfiguredInstance):
    def __init__(self, hands: Hands, name: str = "healer") -> None:
        """``name``: after a crash, workflows go on in the healer of the same name. DBOS takes a
        name once in a process."""
        super().__init__(name)
        self._hands = hands
        self._looks_since: float | None = None  # this process
        self._asking = Asking(
            clock=hands.clock,
            proposals=hands.proposals,
            intents=hands.intents,
            incidents=hands.incidents,
            actions=hands.actions,
            record=self._record,
            patience=hands.settings.policy.approval_timeout,
        )
        self._acting = Acting(
            clock=hands.clock,
            intents=hands.intents,
            leases=hands.leases,
            actions=hands.actions,
            call=hands.call,
            stopped=hands.stopped,
            held_for=hands.settings.healing.containment,
        )

    @step
    def now(self) -> float:
        return self._hands.clock.now()

    @step
    def plan(self, course: Course) -> Plan | None:
        """None: the incident is over, or in the hands of a later epoch."""
        hands = self._hands
        incident = hands.incidents.get(course.incident)
        if self._look_in(course) == "superseded":
            return None
        cause, component = incident.cause, incident.cause.subject.component
        plan = hands.playbooks.plan(
            cause,
            hands.topology(),
            routed=hands.routed(incident.subject.component),
            return_steps=hands.settings.healing.return_steps,
            record_of=lambda action: hands.learning.record(action, cause.fault, component),
        )
        ladder = [r.action for r in (*plan.containment, *plan.treatments)]
        facts = {"fault": plan.fault, "ladder": ladder, "reasons": list(plan.reasons)}
        self._tell(course, "plan", "planned", facts)
        return plan

    @step
    def look_in(self, course: Course) -> str:
        """``superseded``, ``sick`` (evidence against its subject is open) or ``well``. What callers
        and siblings suffer joined the incident as its consequence, and is no evidence by itself."""
        return self._look_in(course)

    def _look_in(self, course: Course) -> str:
        incident = self._hands.incidents.get(course.incident)
        if incident.epoch != course.epoch or incident.state is not IncidentState.OPEN:
            return "superseded"
        found = self._hands.incidents.findings(incident.id, open_only=True)
        return "sick" if any(f.subject == incident.subject for f in found) else "well"

    @step
    def decide(
        self,
        course: Course,
        remedy: Remedy,
        purpose: Purpose,
        rung: int,
        attempt: int,
        undoes: str = "",
    ) -> Intent:
        hands, begins = self._hands, purpose in (Purpose.CONTAIN, Purpose.TREAT)
        request = Request(
            purpose=purpose,
            incident=course.incident,
            epoch=course.epoch,
            rung=rung,
            attempt=attempt,
            remedy=remedy,
            cause=hands.incidents.get(course.incident).cause,
            tier=hands.tier(remedy),
            undoes=undoes,
        )
        intent = hands.intents.decide(
            request,
            self._check(remedy.target, returning=purpose is Purpose.RETURN),
            lambda: hands.judge(request),
            # What was taken is given back in any mode: shadow begins nothing, and strands nothing.
            shadow=begins and hands.shadow(),
        )
        self._tell(course, intent.token, "decided", of_intent(intent) | of_ruling(intent.ruling))
        return intent

    @step
    def propose(self, course: Course, token: str) -> None:
        """Ask people for what the gate did not want to decide."""
        proposal = self._asking.propose(token)
        self._tell(course, token, "proposed", of_proposal(proposal))

    @step
    def hear(self, course: Course, token: str) -> Heard:
        """What people made of it so far. Where nothing is sick any more, nobody needs to answer."""
        intent = self._hands.intents.get(token)
        begins = intent is None or intent.request.purpose in (Purpose.CONTAIN, Purpose.TREAT)
        state = self._look_in(course)
        moot = ""
        if state == "superseded":
            moot = "the incident is over, or in other hands"
        elif state == "well" and begins:
            moot = "the evidence went away"
        proposal, heard = self._asking.hear(token, moot=moot)
        if heard.state is not ProposalState.OPEN:
            self._tell(course, token, f"proposal.{heard.state}", of_proposal(proposal))
        return heard

    @step
    def act(self, course: Course, token: str) -> Intent:
        """Do what the intent says. A step may run again after a crash; an action may not: see
        :mod:`vagus.acting`."""
        intent = self._hands.intents.get(token)
        assert intent is not None, f"no intent {token}: it is written before it is acted upon"
        if intent.state in UNFINISHED:
            intent = self._acting.carry_out(intent)
        if intent.state is IntentState.APPLIED:
            if intent.request.undoes:
                note = f"taken back by {token}"
                self._hands.intents.finish(intent.request.undoes, IntentState.UNDONE, note)
            self._turn_over(course, intent)
        self._tell(course, token, intent.state.value, of_intent(intent))
        return intent

    def _turn_over(self, course: Course, intent: Intent) -> None:
        """Tell detection what the action made of its evidence. What was seen of a process that is
        no more says nothing of the new one, and what a new one does while it starts is no fault;
        once it is given traffic, everything counts."""
        hands, request = self._hands, intent.request
        now, target = hands.clock.now(), request.remedy.target
        if request.purpose is Purpose.TREAT:
            for subject in {target, self._successor(course, target)}:
                hands.forget(subject, now + hands.settings.healing.warm_up)
        elif request.purpose is Purpose.RETURN:
            hands.forget(target, now)

    def undoable(self, done: Intent) -> bool:
        return self._hands.actions[done.request.remedy.action].undoable

    def _record(self, request: Request) -> TrackRecord:
        target = request.remedy.target
        return self._hands.learning.record(
            request.remedy.action, request.cause.fault, target.component
        )

    @step
    def successor(self, course: Course, target: Subject) -> Subject:
        """Who stands in for ``target`` now: the replica that a replacement brought, or itself."""
        return self._successor(course, target)

    def _successor(self, course: Course, target: Subject) -> Subject:
        for row in self._hands.overrides.all():
            if row.incident == course.incident and row.aspect is Aspect.MEMBER and row.value:
                return row.subject
        return target

    @step
    def holds_traffic(self, course: Course) -> bool:
        """Whether traffic is held back for this incident, now."""
        return any(
            row.incident == course.incident and row.aspect is not Aspect.MEMBER
            for row in self._hands.overrides.all()
        )

    @step
    def check(self, subject: Subject) -> Check:
        return self._check(subject, returning=False)

    def _check(self, subject: Subject, *, returning: bool) -> Check:
        healing = self._hands.settings.healing
        usual = self._hands.memory.typical_time_to_first_token(subject.component, subject.replica)
        return Check(
            subject=subject,
            min_probes=2 if returning else 3,
            hold=healing.return_hold if returning else healing.hold,
            timeout=healing.timeout,
            # With traffic on it a replica is as slow as its queue: there detection judges its pace.
            max_time_to_first_token=(
                None if returning or usual is None else max(PACE * usual, usual + PACE_FLOOR)
            ),
            max_failed_share=MAX_FAILED_SHARE,
            min_recall=self._hands.settings.retrieval.recall,
            before=self._hands.memory.observed(subject, self._hands.clock.now() - BEFORE).searches,
        )

    @step
    def look(
        self,
        course: Course,
        subject: Subject,
        check: Check,
        since: float,
        look: int,
        *,
        patient: bool = True,
    ) -> Verdict:
        hands, now = self._hands, self._hands.clock.now()
        open_findings = hands.incidents.findings(course.incident, open_only=True)
        found = [f.sentence for f in open_findings if f.subject == subject]
        seen = hands.memory.observed(subject, since)
        # What was not seen because nobody looked is no failure of the treatment's.
        self._looks_since = now if self._looks_since is None else self._looks_since
        acted_at = max(since, self._looks_since)
        verdict = verify(check, seen, found, acted_at=acted_at, now=now, patient=patient)
        if verdict.outcome is not Outcome.INCONCLUSIVE:
            step = f"look:{since:.6f}:{look}"
            self._tell(course, step, "verdict", of_verdict(subject, verdict))
        return verdict

    @step
    def learn(self, treatment: Intent, verdict: Verdict) -> None:
        """The remedy's record, and its licences, by what became of it."""
        self._hands.learning.learn(treatment, verdict)

    @step
    def conclude(
        self, course: Course, state: IncidentState, note: str, retry_in: float = RECONSIDER
    ) -> str:
        hands = self._hands
        retry_at = hands.clock.now() + retry_in if state is IncidentState.ESCALATED else None
        incident = hands.incidents.get(course.incident)
        while incident.epoch == course.epoch and incident.state is IncidentState.OPEN:
            try:
                incident = hands.incidents.update(
                    incident, state=state, note=note, retry_at=retry_at
                )
            except Conflict:  # a finding came in between
                incident = hands.incidents.get(course.incident)
        if incident.epoch != course.epoch or incident.state is not state:
            return "superseded"
        if state is IncidentState.RESOLVED:
            hands.forget(incident.subject, hands.clock.now())
        self._settle(course)
        facts = {"note": note, "subject": str(incident.subject), "fault": incident.cause.fault}
        self._tell(course, "conclude", state.value, facts)
        return state.value

    def _settle(self, course: Course) -> None:
        """What was kept for an undo is let go of, where nobody asked for one."""
        intents = self._hands.intents.of_incident(course.incident)
        asked_back = {intent.request.undoes for intent in intents}
        for intent in intents:
            request = intent.request
            action: object = self._hands.actions.get(request.remedy.action)
            kept = intent.state is IntentState.APPLIED and not request.undoes
            if not kept or intent.token in asked_back or not isinstance(action, Settling):
                continue
            try:
                order = Order(intent.token, request.incident, request.remedy)
                self._hands.call(action.settle(order))
            except ActionError as error:  # it costs space, and the next of its kind cleans up
                self._tell(course, intent.token, "kept", {"note": str(error)})

    def _tell(self, course: Course, step: str, event: str, facts: Mapping[str, object]) -> None:
        self._hands.ledger.append(course.workflow, step, event, facts)
