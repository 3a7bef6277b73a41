"""Incidents, their findings and what was done about them."""

from __future__ import annotations

from pydantic import Field

from vagus.api.views.basics import View
from vagus.model import (
    Finding,
    Incident,
    Intent,
)
from vagus.narrative import narrate
from vagus.state.ledger import Entry


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


def story_of(entry: Entry) -> StoryView:
    line = narrate(entry.event, entry.facts)
    return StoryView(at=entry.at, tone=line.tone, sentence=line.text, event=entry.event)
