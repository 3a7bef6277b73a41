"""Rollouts, and whether to go on with one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from vagus.api.views.basics import Body, View
from vagus.model import (
    Rollout,
)
from vagus.verification.rollout import Promotion

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
