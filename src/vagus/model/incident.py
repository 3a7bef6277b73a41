"""Diagnosis: what belongs together, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vagus.model.subject import Subject


@dataclass(frozen=True, slots=True)
class Cause:
    """A fault of the catalogue on a subject."""

    fault: str
    subject: Subject
    confidence: float
    sentence: str = ""
    before: str = ""  # the version to go back to, where a rollout is the cause


@dataclass(frozen=True, slots=True)
class Rollout:
    """A deployment: ``replicas`` of a component get ``version`` in place of ``previous``."""

    id: str
    component: str
    version: str
    previous: str
    replicas: tuple[str, ...]
    started_at: float
    started_by: str
    finished_at: float | None = None
    verdict: str = ""  # promoted | rolled-back | abandoned

    def covers(self, subject: Subject) -> bool:
        return subject.component == self.component and subject.replica in self.replicas


class IncidentState(StrEnum):
    OPEN = "open"  # known; its workflow runs, or is about to
    ESCALATED = "escalated"  # a person is needed; containment stays in force
    RESOLVED = "resolved"  # healed and verified, traffic returned
    SHADOWED = "shadowed"  # decided and recorded, nothing was touched; open until it subsides
    SUBSIDED = "subsided"  # the evidence went away and nothing had been done


@dataclass(frozen=True, slots=True)
class Incident:
    """Findings that belong together. ``version`` is what compare-and-set compares; ``epoch``
    numbers the healing workflows of one incident (``id:epoch``), so that a late one is known."""

    id: str
    subject: Subject
    cause: Cause
    state: IncidentState
    opened_at: float
    epoch: int = 1
    version: int = 1
    activity: str = ""  # what is being done this moment, in words
    note: str = ""  # why it was escalated or closed
    closed_at: float | None = None
    retry_at: float | None = None  # an escalated one is tried again then, if the evidence holds

    @property
    def workflow_id(self) -> str:
        return f"{self.id}:{self.epoch}"
