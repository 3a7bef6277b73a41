"""GONE, HUNG and SILENT, as the scraper meets them.

Only two failures of a scrape speak of the replica itself: nobody listens, or somebody listens and
says nothing. Everything else (a login page, 500 on ``/metrics``, a body that can't be read) says
that the *metrics* are missing. That is a state of its own, neither sick nor well, and never a
reason to act.
"""

from __future__ import annotations

from collections.abc import Iterator

from vagus.detection import defaults
from vagus.detection.memory import ReplicaMemory
from vagus.detection.reading import Peers, Reading, State
from vagus.detection.symptoms.agreement import others_agree, progressed_since
from vagus.model import Failure, Scrape, Sense, Symptom


def scraped(replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]:
    failed: list[Scrape] = []
    for scrape in reversed(replica.scrapes):
        if scrape.failure is None:
            break
        failed.append(scrape)
    if not failed:
        return
    failure = failed[0].failure
    agreed = others_agree(replica, Sense.SCRAPE, now)
    if failure is Failure.REFUSED:
        count = _leading(failed, failure)
        yield _reading(Symptom.GONE, replica, failed[:count], defaults.SCRAPES_REFUSED)
    elif failure is Failure.TIMEOUT:
        count = _leading(failed, failure)
        needed = defaults.SCRAPE_TIMEOUTS_AGREED if agreed else defaults.SCRAPE_TIMEOUTS
        if not progressed_since(replica, failed[count - 1].at):
            yield _reading(Symptom.HUNG, replica, failed[:count], needed)
    elif len(failed) >= defaults.SCRAPES_UNREADABLE:
        yield _reading(Symptom.SILENT, replica, failed, defaults.SCRAPES_UNREADABLE)


_SAYS = {
    Symptom.GONE: "refuses connections to its metrics",
    Symptom.HUNG: "accepts connections to its metrics and says nothing",
    Symptom.SILENT: "gives no metrics that can be read",
}


def _leading(failed: list[Scrape], failure: Failure) -> int:
    """How many of the newest failed in this same way."""
    return next((i for i, s in enumerate(failed) if s.failure is not failure), len(failed))


def _reading(symptom: Symptom, replica: ReplicaMemory, run: list[Scrape], needed: int) -> Reading:
    return Reading(
        symptom,
        Sense.SCRAPE,
        State.BAD if len(run) >= needed else State.SUSPECT,
        sentence=(
            f"{replica.subject.replica} {_SAYS[symptom]}: {len(run)} scrapes in a row"
            f" ({run[0].failure})"
        ),
        samples=len(run),
        since=run[-1].at,
        seen_at=run[0].at,
    )
