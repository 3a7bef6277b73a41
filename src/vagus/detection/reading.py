"""What a rule says of one replica after one look: the vocabulary between rules and findings.

A rule says *bad* when its evidence suffices for a finding, *suspect* when there is a first piece of
it (probes will look closer), *good* when there is evidence of health, and nothing at all when it
knows nothing: an open finding then stays open. Silence never heals.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from vagus.config import Kind
from vagus.detection.memory import ReplicaMemory
from vagus.detection.reference import Reference
from vagus.model import Sense, Symptom


class State(Enum):
    BAD = "bad"
    SUSPECT = "suspect"
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class Reading:
    symptom: Symptom
    sense: Sense
    state: State
    sentence: str = ""
    samples: int = 0
    observed: float | None = None
    expected: float | None = None
    unit: str = ""
    since: float | None = None  # the first piece of this evidence
    seen_at: float | None = None  # the last piece


@dataclass(frozen=True, slots=True)
class Peers:
    """What a replica is compared with, and how far the gateway's log has been read."""

    kind: Kind | None
    siblings: tuple[ReplicaMemory, ...]
    reference: Reference | None
    log_at: float

    @property
    def healthy(self) -> tuple[ReplicaMemory, ...]:
        return tuple(s for s in self.siblings if not s.ill)


class Rule(Protocol):
    """One symptom, one look; see ``symptoms/``."""

    def __call__(self, replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]: ...
