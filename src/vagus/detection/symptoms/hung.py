"""HUNG: work in progress that makes no progress.

Liveness is forward progress. A health check may answer from a thread of its own while the engine
stands still for an hour; and a server that is merely full, or busy with a long prefill, looks hung
to whoever only counts seconds. So the gateway's view wants three things at once: several requests
that got nothing for longer than siblings ever take, *no* request of this replica getting ahead
meanwhile (a full server still progresses), and siblings that do (else it is not this replica).
The server's own view wants two: requests in progress, and a step counter that stands still.
"""

from __future__ import annotations

from collections.abc import Iterator

from vagus.detection import defaults
from vagus.detection.memory import InFlight, ReplicaMemory
from vagus.detection.reading import Peers, Reading, State
from vagus.detection.reference import Reference
from vagus.detection.symptoms.agreement import others_agree
from vagus.model import Scrape, Sense, Symptom


def hung_at_gateway(replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]:
    reference = peers.reference
    if reference is None or not replica.in_flight:
        return
    seen_until = min(now, peers.log_at)  # what the log has not reached is not known to stand still
    stuck = [
        attempt
        for attempt in replica.in_flight.values()
        if _still_for(attempt, seen_until) >= _bound(attempt, reference)
    ]
    if not stuck:
        return
    since = min(attempt.progress_at for attempt in stuck)
    if _gets_ahead(replica, reference, seen_until) or not _siblings_progress(peers, since):
        return
    everything = len(stuck) == len(replica.in_flight)
    agreed = others_agree(replica, Sense.GATEWAY, now)
    bad = len(stuck) >= defaults.HUNG_MIN_ATTEMPTS or (everything and agreed)
    longest = seen_until - since
    yield Reading(
        Symptom.HUNG,
        Sense.GATEWAY,
        State.BAD if bad else State.SUSPECT,
        sentence=(
            f"{replica.subject.replica} makes no progress: {len(stuck)} of"
            f" {len(replica.in_flight)} requests in flight stand still, for {longest:.1f} s at the"
            f" longest; its siblings take {reference.duration.median:.2f} s for a whole one"
        ),
        samples=len(stuck),
        observed=longest,
        expected=reference.duration.median,
        unit="s",
        since=since,
        seen_at=seen_until,
    )


def _still_for(attempt: InFlight, seen_until: float) -> float:
    """How long its bytes are known to have stood still.

    Between two reports nothing is known of a stream but that it has not ended.
    """
    if attempt.watched:
        return attempt.seen_at - attempt.progress_at
    return seen_until - attempt.started_at


def _bound(attempt: InFlight, reference: Reference) -> float:
    """Longer than siblings' slowest take: for their first bytes if this one is known to have none,
    for all of it if nothing is known but that it lasts."""
    if attempt.watched and not attempt.received_bytes:
        usual = reference.first.high
    elif attempt.watched:
        usual = reference.pace.high * defaults.PACE_MIN_BYTES if reference.pace else 0.0
    else:
        usual = reference.duration.high
    return max(defaults.HUNG_FLOOR_S, defaults.HUNG_FACTOR * usual)


def _gets_ahead(replica: ReplicaMemory, reference: Reference, seen_until: float) -> bool:
    """Whether any of its requests ended lately, or had grown when it was last reported: a full
    server keeps many waiting, but it serves some."""
    pause = max(defaults.HUNG_FLOOR_S, defaults.HUNG_PAUSE * reference.duration.high)
    if seen_until - replica.ended_at < pause:
        return True
    return any(
        attempt.watched
        and attempt.progress_at >= attempt.seen_at
        and seen_until - attempt.seen_at < defaults.REPORT_DUE_S
        for attempt in replica.in_flight.values()
    )


def _siblings_progress(peers: Peers, since: float) -> bool:
    return any(s.progress_at > since for s in peers.siblings)


def hung_inside(replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]:
    """By the server's own metrics: requests in progress and a step counter that stands still."""
    standing: list[Scrape] = []
    for scrape in reversed(replica.scrapes):
        running, steps = scrape.values.get(defaults.RUNNING), scrape.values.get(defaults.STEPS)
        if scrape.failure is not None or running is None or steps is None:
            break
        if running <= 0 or (standing and steps != standing[-1].values[defaults.STEPS]):
            break
        standing.append(scrape)
    if len(standing) < defaults.HUNG_STEADY_SUSPECT:
        return
    span = standing[0].at - standing[-1].at
    agreed = others_agree(replica, Sense.SCRAPE, now)
    needed = defaults.HUNG_STEADY_AGREED_S if agreed else defaults.HUNG_STEADY_S
    bad = span >= needed and len(standing) >= defaults.HUNG_STEADY_READINGS
    running = standing[0].values[defaults.RUNNING]
    yield Reading(
        Symptom.HUNG,
        Sense.SCRAPE,
        State.BAD if bad else State.SUSPECT,
        sentence=(
            f"{replica.subject.replica} has {running:.0f} requests in progress and has made no"
            f" step for {span:.1f} s ({len(standing)} readings)"
        ),
        samples=len(standing),
        observed=span,
        expected=0.0,
        unit="s",
        since=standing[-1].at,
        seen_at=standing[0].at,
    )
