"""What each attempt says about speed: beyond what siblings do, within it, or nothing.

Two questions are asked apart, since a replica may fail only one of them. How long until something
came (*waiting*): the time to the first token, and for an attempt that lasts its age so far, which
is a lower bound and can say yes but never no. How fast it then came (*pace*): seconds per byte,
which says nothing of answers too short to have one. Mixed into one series, many short answers would
talk down the few long ones that crawl.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from vagus.detection import defaults
from vagus.detection.memory import Answer, InFlight, ReplicaMemory
from vagus.detection.reference import Reference


class Measure(Enum):
    FIRST = "first"
    DURATION = "duration"
    PACE = "pace"


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt, asked whether it was beyond what siblings do (``measure``: in which way)."""

    at: float  # when it was known
    started_at: float
    measure: Measure | None
    value: float  # the exceeding figure: seconds, or seconds per byte


@dataclass(slots=True)
class Run:
    """The evidence since it last amounted to nothing."""

    score: float = 0.0
    beyond: int = 0
    total: int = 0
    since: float = 0.0
    last: Trial | None = None


def weigh(trials: Iterable[Trial]) -> Run:
    """The sequential test over ``trials`` in their order (Page's CUSUM)."""
    up = defaults.gain(defaults.SLOW_SHARE, defaults.SLOW_ANYWAY)
    down = defaults.loss(defaults.SLOW_SHARE, defaults.SLOW_ANYWAY)
    run = Run()
    for trial in trials:
        if trial.measure is None:
            run.score = max(0.0, run.score - down)
            run.total += 1
            continue
        if run.score <= 0:
            run = Run(since=trial.started_at)
        run.score += up
        run.beyond += 1
        run.total += 1
        run.last = trial
        run.since = min(run.since, trial.started_at)
    return run


def waiting(
    replica: ReplicaMemory, reference: Reference, seen_until: float, now: float
) -> list[Trial]:
    """The latest attempts on the question how long until something came, oldest first."""
    limits = {measure: _limit(reference, measure) for measure in (Measure.FIRST, Measure.DURATION)}
    trials: list[Trial] = []
    for answer in _recent(replica, now):
        trial = _waited(answer, limits)
        if trial is not None and not _queue_explains(trial, replica):
            trials.append(trial)
    for attempt in replica.in_flight.values():
        trial = _waits(attempt, limits, seen_until)
        if trial is not None and not _queue_explains(trial, replica):
            trials.append(trial)
    trials.sort(key=lambda t: t.at)
    return trials[-defaults.SLOW_WINDOW :]


def pace(replica: ReplicaMemory, reference: Reference, now: float) -> list[Trial]:
    """The latest answers on the question how fast they came, oldest first."""
    usual = reference.pace
    if usual is None:
        return []
    limit = max(defaults.SLOW_RATIO * usual.median, usual.high)
    trials: list[Trial] = []
    for answer in _recent(replica, now):
        if answer.pace is None or answer.symptom is not None:
            continue
        lost = (answer.pace - usual.median) * answer.received_bytes
        if answer.pace <= limit:
            trials.append(Trial(answer.at, answer.started_at, None, answer.pace))
        elif lost > defaults.SLOW_FLOOR_S:
            trials.append(Trial(answer.at, answer.started_at, Measure.PACE, answer.pace))
    trials.sort(key=lambda t: t.at)
    return trials


def _recent(replica: ReplicaMemory, now: float) -> list[Answer]:
    recent: list[Answer] = []
    for answer in reversed(replica.answers):
        if len(recent) >= defaults.SLOW_WINDOW or now - answer.at > defaults.RECENT_S:
            break
        recent.append(answer)
    return recent


def _waited(answer: Answer, limits: Mapping[Measure, float]) -> Trial | None:
    if answer.symptom is not None:
        return None
    if answer.abandoned:
        if answer.duration > limits[Measure.DURATION]:
            return Trial(answer.at, answer.started_at, Measure.DURATION, answer.duration)
        return None
    beyond = answer.first > limits[Measure.FIRST]
    measure = Measure.FIRST if beyond else None
    return Trial(answer.at, answer.started_at, measure, answer.first)


def _waits(attempt: InFlight, limits: Mapping[Measure, float], seen_until: float) -> Trial | None:
    nothing_yet = attempt.watched and not attempt.received_bytes
    measure = Measure.FIRST if nothing_yet else Measure.DURATION
    age = (attempt.seen_at if nothing_yet else seen_until) - attempt.started_at
    limit = limits[measure]
    if age <= limit:
        return None
    return Trial(attempt.started_at + limit, attempt.started_at, measure, age)


def _queue_explains(trial: Trial, replica: ReplicaMemory) -> bool:
    return trial.measure is not None and replica.queued(trial.started_at, trial.at)


def _limit(reference: Reference, measure: Measure) -> float:
    """Seconds beyond which siblings hardly ever are."""
    spread = reference.first if measure is Measure.FIRST else reference.duration
    return max(
        defaults.SLOW_RATIO * spread.median, spread.median + defaults.SLOW_FLOOR_S, spread.high
    )
