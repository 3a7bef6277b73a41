"""Faults that an experiment asks to inject."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vagus.api.views.basics import Body, Reason, View
from vagus.api.views.incidents import GuardView
from vagus.model import (
    Decision,
    Injection,
    Ruling,
)


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
