"""Chaos: a fault that is put in on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from vagus.model.incident import Cause
from vagus.model.plan import Remedy, Tier
from vagus.model.ruling import Purpose, Request
from vagus.model.subject import Subject

INJECT = "inject"
"""What an experiment asks the gate for, as a remedy asks for ``restart``."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault on one replica, for as long as its lease lasts. ``cap`` is the share of the
    component's capacity that it may take at the most."""

    id: str
    experiment: str
    fault: str
    target: Subject
    does: str  # exactly what is touched, in a sentence
    lease: float  # s
    cap: float
    by: str  # whose token asked
    asked_at: float
    causes: tuple[str, ...] = ()  # which faults of the catalogue name it rightly
    ended_at: float | None = None
    verdict: str = ""  # of the experiment, once it ended
    note: str = ""

    @property
    def ends_by(self) -> float:
        """When it is out at the latest."""
        return self.asked_at + self.lease

    def was_in(self, at: float) -> bool:
        """Whether the fault may have been in at that moment."""
        end = self.ends_by if self.ended_at is None else min(self.ended_at, self.ends_by)
        return self.asked_at <= at <= end

    @property
    def request(self) -> Request:
        """What the gate is asked."""
        return Request(
            purpose=Purpose.TREAT,
            incident=self.id,
            epoch=1,
            rung=0,
            attempt=1,
            remedy=Remedy(INJECT, self.target),
            cause=Cause(self.fault, self.target, 1.0, self.does),
            tier=Tier.R1,
            proposer=self.by,
        )
