"""Questions to people, and their answers."""

from __future__ import annotations

from pydantic import Field

from vagus.api.views.basics import Body, Reason, View
from vagus.model import (
    Proposal,
    ProposalState,
)


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
