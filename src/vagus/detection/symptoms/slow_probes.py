"""SLOW, as probes see it: the same small question, put to siblings at about the same time.

Between a probe in a lull and one in a burst lies a factor of ten that is nobody's fault. So a run
of slow probes counts only against probes of the siblings *since it began*; while a replica is
suspected of being slow, they are asked as well
(:meth:`~vagus.detection.reflexes.Reflexes.suspects`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from vagus.detection import defaults
from vagus.detection.memory import ReplicaMemory
from vagus.detection.reading import Peers, Reading, State
from vagus.detection.reference import lower_median
from vagus.model import Failure, Probe, Sense, Symptom

Measure = Callable[[Probe], float | None]


def first_token(probe: Probe) -> float | None:
    """Seconds to the first token, or to the whole answer when it came in one piece; of a probe that
    timed out, what it waited, which is less than it would have taken."""
    if probe.failure is Failure.TIMEOUT:
        return probe.duration
    if probe.failure is not None:
        return None
    return probe.duration if probe.time_to_first_token is None else probe.time_to_first_token


def per_token(probe: Probe) -> float | None:
    return probe.time_per_token if probe.failure is None else None


_MEASURES: tuple[tuple[Measure, float, str], ...] = (
    (first_token, defaults.SLOW_FLOOR_S, "answers probes after"),
    (per_token, defaults.SLOW_TOKEN_FLOOR_S, "takes for each token of a probe"),
)


def slow_at_probes(replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]:
    for measure, floor, says in _MEASURES:
        run = slow_run(replica, peers, now, measure, floor)
        if run:
            yield _reading(replica, peers, run, measure, floor, says)
            return


def slow_run(
    replica: ReplicaMemory,
    peers: Peers,
    now: float,
    measure: Measure = first_token,
    floor: float = defaults.SLOW_FLOOR_S,
) -> list[Probe]:
    """The newest probes in a row that took longer than siblings' newest, oldest first."""
    usual = [
        values[(len(values) - 1) // 2]
        for sibling in peers.healthy
        if (values := _latest(sibling, measure, now))
    ]
    if not usual:
        return []
    expected = lower_median(usual)
    run: list[Probe] = []
    for probe in reversed(replica.probes):
        if measure is first_token and replica.queued(probe.at - probe.duration, probe.at):
            continue  # it stood in the queue, and that is the queue's time
        value = measure(probe)
        if value is None or not _beyond(value, expected, floor):
            break
        run.append(probe)
    return run[::-1]


def _latest(replica: ReplicaMemory, measure: Measure, now: float) -> list[float]:
    """Figures of the last three good probes, sorted."""
    fresh = [p for p in replica.probes if now - p.at < defaults.PROBE_FRESH_S]
    return sorted(value for p in fresh[-3:] if (value := measure(p)) is not None)


def _beyond(value: float, usual: float, floor: float) -> bool:
    return value >= defaults.PROBE_RATIO * usual and value >= usual + floor


def _reading(
    replica: ReplicaMemory,
    peers: Peers,
    run: list[Probe],
    measure: Measure,
    floor: float,
    says: str,
) -> Reading:
    began = run[0].at - run[0].duration
    alongside = [
        value
        for sibling in peers.healthy
        for probe in sibling.probes
        if probe.at >= began and (value := measure(probe)) is not None
    ]
    mine = lower_median([value for probe in run if (value := measure(probe)) is not None])
    theirs = lower_median(alongside) if len(alongside) >= defaults.PROBES_ALONGSIDE else None
    bad = False
    if theirs is not None:
        bad = len(run) >= _enough(replica, peers, began, mine / theirs) and _beyond(
            mine, theirs, floor
        )
    against = "" if theirs is None else f"; its siblings {theirs:.3f} s"
    return Reading(
        Symptom.SLOW,
        Sense.PROBE,
        State.BAD if bad else State.SUSPECT,
        sentence=f"{replica.subject.replica} {says} {mine:.3f} s{against} ({len(run)} in a row)",
        samples=len(run),
        observed=mine,
        expected=theirs,
        unit="s",
        since=began,
        seen_at=run[-1].at,
    )


def _enough(replica: ReplicaMemory, peers: Peers, began: float, ratio: float) -> int:
    """How many slow probes in a row suffice.

    A probe stands in the queue behind requests. Where more of them are in flight than at siblings,
    or where some were answered at the usual pace meanwhile, waiting is the queue's doing until it
    has lasted.
    """
    theirs_in_flight = [len(s.in_flight) for s in peers.healthy]
    busier = theirs_in_flight and len(replica.in_flight) > lower_median(theirs_in_flight)
    if busier or _callers_served(replica, peers, began):
        return defaults.PROBES_SLOW_BUSY
    return defaults.PROBES_SLOW_GLARING if ratio >= defaults.SLOW_GLARING else defaults.PROBES_SLOW


def _callers_served(replica: ReplicaMemory, peers: Peers, began: float) -> bool:
    if peers.reference is None:
        return False
    usual = defaults.SLOW_RATIO * peers.reference.first.median
    return any(
        a.started_at >= began and a.symptom is None and a.first <= usual
        for a in itertools.islice(reversed(replica.answers), defaults.SLOW_WINDOW)
    )
