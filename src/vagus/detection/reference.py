"""How fast siblings answer: the only measure there is for *slow* and *hung*.

No threshold in seconds can serve both a cache and an LLM, and a busy machine makes everything slow
without anything being sick. So a replica is held against the others of its component. Of their
figures the *lower median* is taken: with two of three replicas slow, each of them is still compared
with the one that is well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vagus.detection import defaults
from vagus.detection.memory import ReplicaMemory
from vagus.model import Subject


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some numbers, and what few of them exceed."""

    median: float
    high: float


@dataclass(frozen=True, slots=True)
class Reference:
    """Of one replica or a group: seconds to the first token, seconds per byte, whole seconds."""

    count: int
    first: Spread
    duration: Spread
    pace: Spread | None


def lower_median(values: Sequence[float]) -> float:
    """The middle one, or the lower of the two middle ones."""
    return sorted(values)[(len(values) - 1) // 2]


def summary(replica: ReplicaMemory) -> Reference | None:
    """What is typical of ``replica`` lately; None while too little was seen."""
    if not replica.answers:
        return None
    oldest = replica.answers[-1].at - defaults.RECENT_S
    good = [a for a in replica.answers if a.symptom is None and not a.abandoned and a.at > oldest]
    if len(good) < defaults.SLOW_MIN_SIBLINGS_ANSWERS:
        return None
    paces = [a.pace for a in good if a.pace is not None]
    return Reference(
        count=len(good),
        first=_spread([a.first for a in good]),
        duration=_spread([a.duration for a in good]),
        pace=_spread(paces) if len(paces) >= defaults.SLOW_MIN_SIBLINGS_ANSWERS else None,
    )


def of_siblings(known: Sequence[Reference]) -> Reference | None:
    """The lower median of the siblings' figures, figure by figure."""
    if not known:
        return None
    paces = [r.pace for r in known if r.pace is not None]
    return Reference(
        count=min(r.count for r in known),
        first=_lower([r.first for r in known]),
        duration=_lower([r.duration for r in known]),
        pace=_lower(paces) if paces else None,
    )


def _spread(values: list[float]) -> Spread:
    values.sort()
    return Spread(
        values[(len(values) - 1) // 2],
        values[min(len(values) - 1, int(len(values) * defaults.SLOW_QUANTILE))],
    )


def _lower(spreads: Sequence[Spread]) -> Spread:
    return Spread(
        lower_median([s.median for s in spreads]),
        lower_median([s.high for s in spreads]),
    )


class References:
    """Summaries, kept until a second has passed or enough new answers came."""

    def __init__(self) -> None:
        self._kept: dict[Subject, tuple[int, float, Reference | None]] = {}

    def of(self, replica: ReplicaMemory, now: float) -> Reference | None:
        kept = self._kept.get(replica.subject)
        if kept is not None:
            seen, at, known = kept
            fresh = 0 <= now - at < 1.0 and known is not None
            if seen == replica.answers_seen or (fresh and replica.answers_seen - seen < 16):
                return known
        known = summary(replica)
        self._kept[replica.subject] = (replica.answers_seen, now, known)
        return known

    def drop(self, subject: Subject) -> None:
        self._kept.pop(subject, None)
