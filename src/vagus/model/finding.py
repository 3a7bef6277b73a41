"""Detection: what is not normal."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vagus.model.evidence import Sense
from vagus.model.subject import Subject


class Symptom(StrEnum):
    GONE = "gone"  # connections are refused
    HUNG = "hung"  # work in progress that makes no progress
    ERRORING = "erroring"  # 5xx, resets
    CUTTING = "cutting"  # streams end midway
    SLOW = "slow"  # against its siblings
    WRONG_SHAPE = "wrong-shape"  # content type, empty, not parseable
    NONSENSE = "nonsense"  # the right shape with garbage in it
    SILENT = "silent"  # its metrics are missing: a state of its own, neither sick nor well
    # What only a baseline shows: against what is usual for it at this hour and at this load.
    SLOWER = "slower"
    DECLINING = "declining"  # gets less done
    SATURATING = "saturating"  # queues, caches or memory fill up
    FAILING = "failing"  # errors that are rare enough to pass for chance one by one
    DEGRADED = "degraded"  # what it gives is worth less
    BURNING = "burning"  # an objective's error budget is used up too fast
    # Of a collection: what its searches don't find.
    RECALL_LOW = "recall-low"  # not the nearest rows, for most queries
    SLICE_LOW = "slice-low"  # the same for some clusters of queries
    ROWS_MISSING = "rows-missing"  # fewer rows than there are
    GOLDEN_FAILING = "golden-failing"  # not what is expected, though it is the nearest
    GOLDEN_LOST = "golden-lost"  # the same for some golden queries
    INDEX_INVALID = "index-invalid"  # there is an index that no search can use


@dataclass(frozen=True, slots=True)
class Finding:
    """A deviation of one subject, by one sense, with its evidence. Level-triggered: it stays open
    for as long as the evidence holds and is closed when it no longer does."""

    subject: Subject
    symptom: Symptom
    sense: Sense
    opened_at: float
    last_seen_at: float
    sentence: str  # for a tired engineer
    samples: int = 0
    observed: float | None = None
    expected: float | None = None
    unit: str = ""
    since: float | None = None  # when the first piece of this evidence was seen
    closed_at: float | None = None

    @property
    def key(self) -> str:
        """One finding may be open per subject, symptom and sense."""
        return f"{self.subject}:{self.symptom}:{self.sense}"


@dataclass(frozen=True, slots=True)
class SensesReport:
    """Whether Vagus may believe what it sees. Not trusted means: hold still, and say so."""

    trusted: bool
    reason: str = ""
    silent: int = 0
    watched: int = 0
