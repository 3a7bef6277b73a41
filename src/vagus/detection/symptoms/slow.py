"""SLOW: against its siblings, and only against them.

Four things make slowness hard, and each has its answer here.

*Slow answers come late.* A replica that takes ten times as long has told nothing yet when its
first slow answer ends. So attempts in flight count as soon as their age alone is more than siblings
take for a whole answer.

*Latencies are wild.* A sum or a mean over a few of them says nothing. Each answer is only asked
whether it is beyond what siblings do, by ratio, by an absolute floor and by their own high quantile
together (:mod:`vagus.detection.trials`); yes and no go into the same sequential test as failures.

*Waiting is not slowness.* Where a server says that requests are queueing, the time to the first
token is the queue's; only the pace of what it streams is its own.

*Answers are not independent.* Ten that queued behind one long prompt are one event. So the evidence
must span some time, and over just that time the siblings must have been faster: a busy machine
slows all of them, and then none is sick.
"""

from __future__ import annotations

from collections.abc import Iterator

from vagus.detection import defaults
from vagus.detection.memory import ReplicaMemory
from vagus.detection.reading import Peers, Reading, State
from vagus.detection.reference import Reference, lower_median
from vagus.detection.symptoms.slow_probes import slow_run
from vagus.detection.trials import Measure, Run, Trial, pace, waiting, weigh
from vagus.model import Sense, Symptom


def slow_at_gateway(replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]:
    reference = peers.reference
    if reference is None:
        return
    seen_until = min(now, peers.log_at)
    agreed = len(slow_run(replica, peers, now)) >= defaults.PROBES_SLOW_AGREE
    enough = defaults.SLOW_ENOUGH * (defaults.SLOW_AGREED if agreed else 1.0)
    readings = [
        reading
        for trials in (
            waiting(replica, reference, seen_until, now),
            pace(replica, reference, now),
        )
        if (reading := _judge(replica, peers, reference, trials, enough, seen_until)) is not None
    ]
    if readings:
        yield max(readings, key=lambda r: (r.state is State.BAD, r.samples))


def _judge(
    replica: ReplicaMemory,
    peers: Peers,
    reference: Reference,
    trials: list[Trial],
    enough: float,
    seen_until: float,
) -> Reading | None:
    run = weigh(trials)
    if run.last is None or run.score < defaults.SLOW_SUSPECT:
        return None
    mine, theirs, measure = _alongside(trials, run, peers, seen_until)
    contrast = theirs is not None and _beyond(mine, theirs, measure)
    if theirs is not None and not contrast:
        return None  # slow together: nobody is suspect
    spans = run.last.at - run.since >= max(
        defaults.SLOW_SPAN_S, defaults.SLOW_SPAN_DURATIONS * reference.duration.median
    )
    usual = theirs if theirs is not None else _usual(reference, measure)
    return Reading(
        Symptom.SLOW,
        Sense.GATEWAY,
        State.BAD if contrast and spans and run.score >= enough else State.SUSPECT,
        sentence=_sentence(replica, measure, mine, usual, run),
        samples=run.beyond,
        observed=mine,
        expected=usual,
        unit="s/By" if measure is Measure.PACE else "s",
        since=run.since,
        seen_at=run.last.at,
    )


def _alongside(
    trials: list[Trial], run: Run, peers: Peers, seen_until: float
) -> tuple[float, float | None, Measure]:
    """This replica's figure and its siblings' over the same time, in the measure that shows most.

    The siblings' is None while too few of their answers fall into that time.
    """
    beyond = [t for t in trials if t.measure is not None and t.started_at >= run.since]
    measure = max(Measure, key=lambda m: sum(t.measure is m for t in beyond))
    mine = lower_median([t.value for t in beyond if t.measure is measure])
    figures = []
    for sibling in peers.healthy:
        values = _figures_since(sibling, run.since, measure, seen_until)
        if len(values) >= defaults.SLOW_ALONGSIDE:
            figures.append(lower_median(values))
    return mine, lower_median(figures) if figures else None, measure


def _figures_since(
    replica: ReplicaMemory, since: float, measure: Measure, seen_until: float
) -> list[float]:
    values = []
    for answer in reversed(replica.answers):
        if answer.at < since:
            break
        value: float | None = getattr(answer, measure.value)
        if answer.symptom is None and value is not None:
            values.append(value)
    if measure is not Measure.PACE:
        # Their own work in flight, when it lasts longer than what ended: everybody may be slow.
        ages = (seen_until - a.started_at for a in replica.in_flight.values())
        longest = max(values, default=0.0)
        values.extend(age for age in ages if age > longest)
    return values


def _usual(reference: Reference, measure: Measure) -> float:
    spread = {
        Measure.FIRST: reference.first,
        Measure.DURATION: reference.duration,
        Measure.PACE: reference.pace,
    }[measure]
    return spread.median if spread is not None else 0.0


def _beyond(mine: float, theirs: float, measure: Measure) -> bool:
    floor = 0.0 if measure is Measure.PACE else defaults.SLOW_FLOOR_S
    return mine >= defaults.SLOW_RATIO * theirs and mine >= theirs + floor


def _sentence(
    replica: ReplicaMemory, measure: Measure, mine: float, theirs: float, run: Run
) -> str:
    name = replica.subject.replica
    last = f"({run.beyond} of the last {run.total} requests)"
    if measure is Measure.PACE:
        return (
            f"{name} streams a KiB in {_s(mine * 1024)}; its siblings take"
            f" {_s(theirs * 1024)} {last}"
        )
    if measure is Measure.FIRST:
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
