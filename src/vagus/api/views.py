"""What goes over the wire: the public shapes, apart from the values inside.

They are written out rather than made from the model, so that a value can change its insides without
breaking whoever reads the API, and so that what is public is decided here and nowhere by accident.
Subjects are written ``component/replica``, times are seconds since the epoch.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

from vagus.config import Mode
from vagus.model import (
    Decision,
    Finding,
    Incident,
    Injection,
    Intent,
    Licence,
    Proposal,
    ProposalState,
    Rollout,
    Ruling,
    Stop,
)
from vagus.narrative import narrate
from vagus.state.ledger import Entry
from vagus.state.records import encode
from vagus.verification.rollout import Promotion

T = TypeVar("T")

# A reason ends up in terminals: no control characters, so no escape sequences.
Reason = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"
    ),
]


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Body(BaseModel):
    """What is sent: what is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(View, Generic[T]):
    """Some of many. ``next`` is given as ``cursor`` for those that follow; null: these were all."""

    items: list[T]
    next: str | None = Field(None, description="cursor of the next page; null if there is none")


# --- incidents ------------------------------------------------------------------------------------


class IncidentView(View):
    id: str = Field(examples=["inc-1f0c9a3e"])
    subject: str = Field(examples=["chat/chat-2"])
    fault: str = Field(description="of the catalogue", examples=["replica-slow"])
    confidence: float
    cause: str = Field(description="in a sentence")
    state: str = Field(examples=["escalated"])
    opened_at: float
    closed_at: float | None
    epoch: int = Field(description="how many times healing was begun")
    activity: str
    note: str = Field(description="why it was escalated or closed")
    retry_at: float | None

    @classmethod
    def of(cls, incident: Incident) -> IncidentView:
        return cls(
            id=incident.id,
            subject=str(incident.subject),
            fault=incident.cause.fault,
            confidence=incident.cause.confidence,
            cause=incident.cause.sentence,
            state=incident.state.value,
            opened_at=incident.opened_at,
            closed_at=incident.closed_at,
            epoch=incident.epoch,
            activity=incident.activity,
            note=incident.note,
            retry_at=incident.retry_at,
        )


class FindingView(View):
    subject: str
    symptom: str
    sense: str
    sentence: str
    observed: float | None
    expected: float | None
    unit: str
    samples: int
    opened_at: float
    closed_at: float | None

    @classmethod
    def of(cls, finding: Finding) -> FindingView:
        return cls(
            subject=str(finding.subject),
            symptom=finding.symptom.value,
            sense=finding.sense.value,
            sentence=finding.sentence,
            observed=finding.observed,
            expected=finding.expected,
            unit=finding.unit,
            samples=finding.samples,
            opened_at=finding.opened_at,
            closed_at=finding.closed_at,
        )


class GuardView(View):
    guard: str
    decision: str
    reason: str


class IntentView(View):
    token: str = Field(examples=["inc-1f0c9a3e:1:0:1"])
    action: str
    target: str
    purpose: str
    tier: str
    state: str
    decision: str
    reason: str
    guards: list[GuardView]
    created_at: float
    acted_at: float | None
    finished_at: float | None
    note: str

    @classmethod
    def of(cls, intent: Intent) -> IntentView:
        request, ruling = intent.request, intent.ruling
        return cls(
            token=intent.token,
            action=request.remedy.action,
            target=str(request.remedy.target),
            purpose=request.purpose.value,
            tier=(ruling.tier or request.tier).name,
            state=intent.state.value,
            decision=ruling.decision.name.lower(),
            reason=ruling.reason,
            guards=[
                GuardView(guard=g.guard, decision=g.decision.name.lower(), reason=g.reason)
                for g in ruling.guards
            ],
            created_at=intent.created_at,
            acted_at=intent.acted_at,
            finished_at=intent.finished_at,
            note=intent.note,
        )


class StoryView(View):
    at: float
    tone: str = Field(description="bad, plan, act, good, ask or info")
    sentence: str
    event: str


class IncidentStory(View):
    incident: IncidentView
    findings: list[FindingView]
    intents: list[IntentView]
    story: list[StoryView]


# --- the ledger -----------------------------------------------------------------------------------


class EntryView(View):
    seq: int
    at: float
    workflow: str
    step: str
    event: str
    facts: dict[str, JsonValue]
    sentence: str
    previous: str = Field(description="the hash of the entry before it")
    hash: str

    @classmethod
    def of(cls, entry: Entry) -> EntryView:
        facts = encode(entry.facts)
        assert isinstance(facts, dict)
        return cls(
            seq=entry.seq,
            at=entry.at,
            workflow=entry.workflow,
            step=entry.step,
            event=entry.event,
            facts=facts,
            sentence=narrate(entry.event, entry.facts).text,
            previous=entry.previous,
            hash=entry.hash,
        )


class HeadView(View):
    """The last entry: kept elsewhere, it proves that nothing before it was changed or cut off."""

    seq: int
    hash: str


def story_of(entry: Entry) -> StoryView:
    line = narrate(entry.event, entry.facts)
    return StoryView(at=entry.at, tone=line.tone, sentence=line.text, event=entry.event)


# --- proposals ------------------------------------------------------------------------------------


class AskView(View):
    approvers: int
    group: str = Field(description="of approvers; empty: any approver")


class AnswerView(View):
    by: str
    yes: bool
    at: float
    reason: str


class SheetView(View):
    """What a person needs to see in order to decide."""

    what: str
    why: list[str]
    cause: str
    confidence: float
    blast_radius: str
    checks: str
    undo: str
    unanswered: str
    record: str


class ProposalView(View):
    id: str = Field(examples=["inc-1f0c9a3e:1:1:1"])
    incident: str
    state: ProposalState
    action: str = Field(examples=["restart"])
    target: str = Field(examples=["chat/chat-2"])
    purpose: str
    tier: str
    proposer: str
    asks: list[AskView]
    answers: list[AnswerView]
    sheet: SheetView
    created_at: float
    expires_at: float
    decided_at: float | None
    note: str

    @classmethod
    def of(cls, proposal: Proposal) -> ProposalView:
        request, sheet = proposal.request, proposal.sheet
        return cls(
            id=proposal.id,
            incident=request.incident,
            state=proposal.state,
            action=request.remedy.action,
            target=str(request.remedy.target),
            purpose=request.purpose.value,
            tier=request.tier.name,
            proposer=proposal.proposer,
            asks=[AskView(approvers=ask.approvers, group=ask.group) for ask in proposal.asks],
            answers=[
                AnswerView(by=a.by, yes=a.yes, at=a.at, reason=a.reason) for a in proposal.answers
            ],
            sheet=SheetView(
                what=sheet.what,
                why=list(sheet.why),
                cause=sheet.cause,
                confidence=sheet.confidence,
                blast_radius=sheet.blast_radius,
                checks=sheet.checks,
                undo=sheet.undo,
                unanswered=sheet.unanswered,
                record=sheet.record,
            ),
            created_at=proposal.created_at,
            expires_at=proposal.expires_at,
            decided_at=proposal.decided_at,
            note=proposal.note,
        )


class AnswerBody(Body):
    """One person's yes or no. Whose it is says the token."""

    yes: bool = Field(strict=True, examples=[True])
    reason: Reason | None = Field(None, examples=["seen it, go ahead"])


# --- licences -------------------------------------------------------------------------------------


class LicenceView(View):
    id: str
    action: str
    component: str
    environment: str
    fault: str = Field(description="empty: any")
    valid: bool = Field(description="now")
    issued_at: float
    expires_at: float
    issued_by: str
    reason: str
    samples: int
    bound: float = Field(description="lower 95 % bound of the rate of success")
    experiments: list[str]
    revoked_at: float | None
    revoked_because: str

    @classmethod
    def of(cls, licence: Licence, now: float) -> LicenceView:
        return cls(
            id=licence.id,
            action=licence.action,
            component=licence.component,
            environment=licence.environment,
            fault=licence.fault,
            valid=licence.valid(now),
            issued_at=licence.issued_at,
            expires_at=licence.expires_at,
            issued_by=licence.issued_by,
            reason=licence.reason,
            samples=licence.samples,
            bound=licence.bound,
            experiments=list(licence.experiments),
            revoked_at=licence.revoked_at,
            revoked_because=licence.revoked_because,
        )


class GrantBody(Body):
    """A licence by hand: nothing is proven, somebody vouches for it."""

    action: str = Field(max_length=64, examples=["restart"])
    component: str = Field(max_length=128, examples=["chat"])
    fault: str = Field("", max_length=64, description="empty: any", examples=["replica-hung"])
    days: float = Field(gt=0, le=365, description="how long it is valid", examples=[30])
    reason: Reason = Field(examples=["worked in every drill since May"])


class RevokeBody(Body):
    reason: Reason = Field(examples=["the last restart made it worse"])


# --- rollouts -------------------------------------------------------------------------------------

Version = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"),
]


class RolloutView(View):
    id: str
    component: str
    version: str
    previous: str
    replicas: list[str]
    started_at: float
    started_by: str
    finished_at: float | None
    verdict: str = Field(description="promoted, rolled-back or abandoned; empty: under way")

    @classmethod
    def of(cls, rollout: Rollout) -> RolloutView:
        return cls(
            id=rollout.id,
            component=rollout.component,
            version=rollout.version,
            previous=rollout.previous,
            replicas=list(rollout.replicas),
            started_at=rollout.started_at,
            started_by=rollout.started_by,
            finished_at=rollout.finished_at,
            verdict=rollout.verdict,
        )


class RolloutBody(Body):
    component: str = Field(max_length=128, examples=["chat"])
    version: Version = Field(examples=["v2"])
    previous: Version = Field(description="what to go back to", examples=["v1"])
    replicas: list[str] = Field(min_length=1, max_length=1000, examples=[["chat-3"]])


class RolloutEndBody(Body):
    verdict: Literal["promoted", "rolled-back", "abandoned"] = Field(examples=["promoted"])


class GateView(View):
    promotion: Promotion = Field(description="promote, roll-back or inconclusive")
    sentence: str


# --- injections -----------------------------------------------------------------------------------


class InjectionBody(Body):
    experiment: str = Field(max_length=128, examples=["exp-1f0c9a3e"])
    fault: str = Field(max_length=64, examples=["kill"])
    target: str = Field(
        max_length=256, pattern=r"^[^/]*(/[^/]*)?$", examples=["chat/chat-2"],
        description="component/replica",
    )  # fmt: skip
    does: Reason = Field(description="exactly what is touched, in a sentence")
    lease: float = Field(gt=0, le=86400, description="seconds after which it is out for certain")
    cap: float = Field(gt=0, le=1, description="share of the component's capacity it may take")
    causes: list[Annotated[str, Field(max_length=64)]] = Field(
        default_factory=list, max_length=64,
        description="faults of the catalogue that name it rightly; what acts for another one is "
        "neither proven nor refuted by it", examples=[["replica-gone"]],
    )  # fmt: skip


class InjectionEndBody(Body):
    verdict: Literal[
        "passed", "deviated", "baseline-not-met", "fault-not-effective", "inconclusive",
        "aborted", "error",
    ] = Field(examples=["passed"])  # fmt: skip
    note: str = Field("", max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")


class InjectionView(View):
    id: str = Field(examples=["inj-5b1d03aa"])
    experiment: str
    fault: str
    subject: str
    by: str
    asked_at: float
    ends_by: float = Field(description="when it is out at the latest")
    ended_at: float | None
    verdict: str = Field(description="of the experiment, once it ended")

    @classmethod
    def of(cls, injection: Injection) -> InjectionView:
        return cls(
            id=injection.id,
            experiment=injection.experiment,
            fault=injection.fault,
            subject=str(injection.target),
            by=injection.by,
            asked_at=injection.asked_at,
            ends_by=injection.ends_by,
            ended_at=injection.ended_at,
            verdict=injection.verdict,
        )


class InjectionRuling(View):
    allowed: bool
    decision: str = Field(examples=["allow"])
    reason: str
    guards: list[GuardView]
    injection: InjectionView

    @classmethod
    def of(cls, injection: Injection, ruling: Ruling) -> InjectionRuling:
        return cls(
            allowed=ruling.decision is Decision.ALLOW,
            decision=ruling.decision.name.lower(),
            reason=ruling.reason,
            guards=[
                GuardView(guard=g.guard, decision=g.decision.name.lower(), reason=g.reason)
                for g in ruling.guards
            ],
            injection=InjectionView.of(injection),
        )


# --- controls -------------------------------------------------------------------------------------


class ModeView(View):
    mode: Mode = Field(description="in force", examples=["suggest"])
    declared: Mode = Field(description="in the configuration", examples=["auto"])
    chosen: str | None = Field(description="by a person, over the configuration's")


class ModeBody(Body):
    mode: Mode = Field(examples=["suggest"])
    reason: Reason = Field(examples=["noisy night, I want to be asked"])


class SwitchView(View):
    where: str = Field(description="`state` (set through the API) or `file`")
    owner: str
    reason: str
    at: float | None


class StopView(View):
    """The kill switch. It is set if either of its two places says so."""

    stopped: bool
    switches: list[SwitchView]

    @classmethod
    def of(cls, state: Stop | None, file: Stop | None) -> StopView:
        found = {"state": state, "file": file}
        switches = [
            SwitchView(where=where, owner=stop.owner, reason=stop.reason, at=stop.at)
            for where, stop in found.items()
            if stop is not None
        ]
        return cls(stopped=bool(switches), switches=switches)


class StopBody(Body):
    reason: Reason = Field(examples=["migration until 14:00"])
