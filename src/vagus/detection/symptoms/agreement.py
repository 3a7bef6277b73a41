"""What another sense has just seen of the same replica, for or against.

Little evidence from two places is worth more than much from one: a single failed request may be the
request's own fault, and a single failed probe may be ours. This is how two rows of the gateway's
log and one probe can do what would take four rows alone.
"""

from __future__ import annotations

from vagus.detection import defaults
from vagus.detection.memory import SYMPTOM_OF, ReplicaMemory
from vagus.model import Failure, Sense

_SCRAPE_TELLS = frozenset({Failure.REFUSED, Failure.TIMEOUT})


def others_agree(replica: ReplicaMemory, sense: Sense, now: float) -> bool:
    """Senses other than ``sense`` that saw it fail last time they looked, and not long ago."""

    def recent(at: float) -> bool:
        return now - at <= defaults.SUSPICION_S

    if sense is not Sense.PROBE and replica.probes:
        probe = replica.probes[-1]
        if probe.failure is not None and recent(probe.at):
            return True
    if sense is not Sense.SCRAPE and replica.scrapes:
        scrape = replica.scrapes[-1]
        if scrape.failure in _SCRAPE_TELLS and recent(scrape.at):
            return True
    if sense is not Sense.GATEWAY and replica.answers:
        answer = replica.answers[-1]
        if answer.symptom in SYMPTOM_OF.values() and recent(answer.at):
            return True
    return False


def good_probes_since(replica: ReplicaMemory, at: float) -> int:
    """Good probes in a row up to now, all of them begun after ``at``."""
    count = 0
    for probe in reversed(replica.probes):
        if probe.failure is not None or probe.at - probe.duration <= at:
            break
        count += 1
    return count


def progressed_since(replica: ReplicaMemory, at: float) -> bool:
    """Whether it got ahead with anything after ``at``: then it is busy, and neither gone nor hung.

    Somebody's request ended or grew, or its own step counter moved.
    """
    if replica.progress_at > at:
        return True
    steps = [
        value
        for scrape in replica.scrapes
        if scrape.at > at and (value := scrape.values.get(defaults.STEPS)) is not None
    ]
    return len(steps) > 1 and steps[-1] > steps[0]
