"""Evidence of health: what closes findings. Absence of bad evidence is never it.

Each sense refutes what it found itself, with more of the good than opened it with the bad, so that
a replica which flaps stays found. One case can't be left to that: a replica that was ejected gets
no traffic, so the gateway could never take back what it once saw. Such findings close when the
gateway has been quiet about it for a while *and* the other senses find it good.

Nonsense is left out: only what is said refutes it (``symptoms/nonsense.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

from vagus.detection import defaults
from vagus.detection.memory import ReplicaMemory
from vagus.detection.reading import Peers, Reading, State
from vagus.model import Sense, Symptom


def health(replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]:
    if not replica.found:
        return
    since = {
        Sense.GATEWAY: _rows_good_since(replica, now),
        Sense.PROBE: _probes_good_since(replica),
        Sense.SCRAPE: _scrapes_good_since(replica),
    }
    for symptom, sense in sorted(replica.found):
        if symptom is Symptom.NONSENSE:
            continue
        good_since = since[sense]
        if good_since is not None:
            yield Reading(symptom, sense, State.GOOD, since=good_since)


def _rows_good_since(replica: ReplicaMemory, now: float) -> float | None:
    good = 0
    probes_since = _probes_good_since(replica)
    for answer in sorted(replica.answers, key=lambda a: a.at, reverse=True):
        if answer.symptom is not None:
            break
        good += not answer.abandoned
        if good >= defaults.GOOD_ROWS:
            return answer.at
        if good >= defaults.GOOD_ROWS_AGREED and probes_since is not None:
            return min(answer.at, probes_since)
    quiet = now - replica.row_at >= defaults.QUIET_S and not replica.in_flight
    others_find_it_ill = any(sense is not Sense.GATEWAY for _, sense in replica.found)
    if quiet and probes_since is not None and not others_find_it_ill:
        return probes_since
    return None


def _probes_good_since(replica: ReplicaMemory) -> float | None:
    for count, probe in enumerate(reversed(replica.probes), 1):
        if probe.failure is not None:
            break
        spans = replica.probes[-1].at - probe.at >= defaults.GOOD_SPAN_S
        if count >= defaults.GOOD_PROBES and spans:
            return probe.at
    return None


def _scrapes_good_since(replica: ReplicaMemory) -> float | None:
    for count, scrape in enumerate(reversed(replica.scrapes), 1):
        if scrape.failure is not None:
            break
        if count >= defaults.GOOD_SCRAPES:
            return scrape.at
    return None
