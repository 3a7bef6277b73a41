"""SLOW: against its siblings, and only against them.

Four things make slowness hard, and each has its answer here.

*Slow answers come late.* A replica that takes ten times as long has told nothing yet when its
first slow answer ends. So attempts in flight count as soon as their age alone is more than siblings
take for a whole answer.

*Latencies are wild.* A sum or a mean over a few of them says nothing. Each answer is only asked
whether it is beyond what siblings do, by ratio, by an absolute floor and by their own high quantile
together; those yes and no go into the same sequential test as failures do.

*Waiting is not slowness.* Where a server says that requests are queueing, the time to the first
token is the queue's; only the pace of what it streams is its own.

*Answers are not independent.* Ten that queued behind one long prompt are one event. So the evidence
must span some time, and over just that time the siblings must have been faster: a busy machine
slows all of them, and then none is sick.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vagus.detection import defaults
from vagus.detection.memory import Answer, InFlight, ReplicaMemory
from vagus.detection.reading import Peers, Reading, State
from vagus.detection.reference import Reference, lower_median
from vagus.detection.symptoms.slow_probes import slow_run
from vagus.model import Sense, Symptom

_FIRST, _DURATION, _PACE = "first", "duration", "pace"


@dataclass(frozen=True, slots=True)
class _Trial:
    """One attempt, asked whether it was beyond what siblings do (``measure``: in which way)."""

    at: float  # when it was known
    started_at: float
    measure: str | None
    seconds: float  # the exceeding figure (pace: per byte)


@dataclass(slots=True)
class _Run:
    score: float = 0.0
    beyond: int = 0
    total: int = 0
    since: float = 0.0
    last: _Trial | None = None


def slow_at_gateway(replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]:
    reference = peers.reference
    if reference is None:
        return
    seen_until = min(now, peers.log_at)
    trials = _trials(replica, reference, seen_until, now)
    run = _weigh(trials)
    if run.last is None or run.score < defaults.SLOW_SUSPECT:
        return
    agreed = len(slow_run(replica, peers, now)) >= defaults.PROBES_SLOW_AGREE
    enough = defaults.SLOW_ENOUGH * (defaults.SLOW_AGREED if agreed else 1.0)
    spans = run.last.at - run.since >= max(
        defaults.SLOW_SPAN_S, defaults.SLOW_SPAN_DURATIONS * reference.duration.median
    )
    mine, theirs, measure = _alongside(trials, run, peers, seen_until)
    contrast = theirs is not None and _beyond(mine, theirs, measure)
    if theirs is not None and not contrast:
        return  # slow together: nobody is suspect
    bad = run.score >= enough and spans and contrast
    usual = theirs if theirs is not None else getattr(reference, measure).median
    yield Reading(
        Symptom.SLOW,
        Sense.GATEWAY,
        State.BAD if bad else State.SUSPECT,
        sentence=_sentence(replica, measure, mine, usual, run),
        samples=run.beyond,
        observed=mine,
        expected=usual,
        unit="s/KiB" if measure == _PACE else "s",
        since=run.since,
        seen_at=run.last.at,
    )


def _trials(
    replica: ReplicaMemory, reference: Reference, seen_until: float, now: float
) -> list[_Trial]:
    """The latest attempts that say yes or no, in the order in which they did."""
    trials: list[_Trial] = []
    limits = {measure: _limit(reference, measure) for measure in (_FIRST, _DURATION)}
    for answer in reversed(replica.answers):
        if len(trials) >= defaults.SLOW_WINDOW or now - answer.at > defaults.RECENT_S:
            break
        trial = _ended(answer, reference, limits)
        if trial is not None and not _queue_explains(trial, replica):
            trials.append(trial)
    for attempt in replica.in_flight.values():
        trial = _lasting(attempt, limits, seen_until)
        if trial is not None and not _queue_explains(trial, replica):
            trials.append(trial)
    trials.sort(key=lambda t: t.at)
    return trials[-defaults.SLOW_WINDOW :]


def _ended(answer: Answer, reference: Reference, limits: Mapping[str, float]) -> _Trial | None:
    if answer.symptom is not None:
        return None
    if answer.abandoned:
        if answer.duration > limits[_DURATION]:
            return _Trial(answer.at, answer.started_at, _DURATION, answer.duration)
        return None
    if answer.pace is not None and reference.pace is not None:
        excess = (answer.pace - reference.pace.median) * answer.received_bytes
        limit = max(defaults.SLOW_RATIO * reference.pace.median, reference.pace.high)
        if answer.pace > limit and excess > defaults.SLOW_FLOOR_S:
            return _Trial(answer.at, answer.started_at, _PACE, answer.pace)
    if answer.first > limits[_FIRST]:
        return _Trial(answer.at, answer.started_at, _FIRST, answer.first)
    return _Trial(answer.at, answer.started_at, None, answer.first)


def _queue_explains(trial: _Trial, replica: ReplicaMemory) -> bool:
    return trial.measure in (_FIRST, _DURATION) and replica.queued(trial.started_at, trial.at)


def _lasting(attempt: InFlight, limits: Mapping[str, float], seen_until: float) -> _Trial | None:
    """Only a lower bound is known of what lasts: it can say yes, and never no."""
    waiting = attempt.watched and not attempt.received_bytes
    age = attempt.seen_at - attempt.started_at if waiting else seen_until - attempt.started_at
    measure = _FIRST if waiting else _DURATION
    limit = limits[measure]
    if age <= limit:
        return None
    return _Trial(attempt.started_at + limit, attempt.started_at, measure, age)


def _limit(reference: Reference, measure: str) -> float:
    """Seconds beyond which siblings hardly ever are."""
    spread = reference.first if measure == _FIRST else reference.duration
    return max(
        defaults.SLOW_RATIO * spread.median, spread.median + defaults.SLOW_FLOOR_S, spread.high
    )


def _weigh(trials: list[_Trial]) -> _Run:
    up = defaults.gain(defaults.SLOW_SHARE, defaults.SLOW_ANYWAY)
    down = defaults.loss(defaults.SLOW_SHARE, defaults.SLOW_ANYWAY)
    run = _Run()
    for trial in trials:
        if trial.measure is None:
            run.score = max(0.0, run.score - down)
            run.total += 1
            continue
        if run.score <= 0:
            run = _Run(since=trial.started_at)
        run.score += up
        run.beyond += 1
        run.total += 1
        run.last = trial
        run.since = min(run.since, trial.started_at)
    return run


def _alongside(
    trials: list[_Trial], run: _Run, peers: Peers, seen_until: float
) -> tuple[float, float | None, str]:
    """This replica's figure and its siblings' over the same time, in the measure that shows most.

    The siblings' is None while too few of their answers fall into that time.
    """
    beyond = [t for t in trials if t.measure is not None and t.started_at >= run.since]
    measure = max((_FIRST, _PACE, _DURATION), key=lambda m: sum(t.measure == m for t in beyond))
    mine = lower_median([t.seconds for t in beyond if t.measure == measure])
    figures = []
    for sibling in peers.healthy:
        values = _figures_since(sibling, run.since, measure, seen_until)
        if len(values) >= defaults.SLOW_ALONGSIDE:
            figures.append(lower_median(values))
    return mine, lower_median(figures) if figures else None, measure


def _figures_since(
    replica: ReplicaMemory, since: float, measure: str, seen_until: float
) -> list[float]:
    values = []
    for answer in reversed(replica.answers):
        if answer.at < since:
            break
        if answer.symptom is None:
            value = getattr(answer, measure)
            if value is not None:
                values.append(value)
    if measure != _PACE:
        # Their own work in flight, when it lasts longer than what ended: everybody may be slow.
        ages = (seen_until - a.started_at for a in replica.in_flight.values())
        longest = max(values, default=0.0)
        values.extend(age for age in ages if age > longest)
    return values


def _beyond(mine: float, theirs: float, measure: str) -> bool:
    if measure == _PACE:
        return mine >= defaults.SLOW_RATIO * theirs
    return mine >= defaults.SLOW_RATIO * theirs and mine >= theirs + defaults.SLOW_FLOOR_S


def _sentence(replica: ReplicaMemory, measure: str, mine: float, theirs: float, run: _Run) -> str:
    name = replica.subject.replica
    last = f"({run.beyond} of the last {run.total} requests)"
    if measure == _PACE:
        return (
            f"{name} streams a KiB in {mine * 1024:.2f} s; its siblings take"
            f" {theirs * 1024:.2f} s {last}"
        )
    if measure == _FIRST:
        return (
            f"{name} answers its first token after {_s(mine)}; its siblings take"
            f" {_s(theirs)} {last}"
        )
    return (
        f"{name} has requests unanswered for {_s(mine)}; its siblings answer whole ones in"
        f" {_s(theirs)} {last}"
    )


def _s(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 0.1 else f"{seconds:.2f} s"
