"""The short memory of what was seen of each replica: the input of verification.

Verification asks from workflow threads while evidence comes in on the event loop, so there is a
lock around it; both sides hold it for microseconds. What a restart of Vagus forgets only lengthens
a hold: absence is never taken for health.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median, median_low

from vagus.model import Attempt, Evidence, Observed, Phase, Probe, Retrieval, Subject
from vagus.telemetry.searches import summed_up
from vagus.topology import Topology

PROBES = 256  # kept per replica: two minutes at two a second
ATTEMPTS = 2048  # ended ones kept per replica: two minutes at 16 a second
SEARCHES = 1024  # kept per collection: two minutes at eight a second
TYPICAL_OF = 8  # latest good probes of a sibling that its pace is taken from


def failed(attempt: Attempt) -> bool:
    return attempt.failure is not None


@dataclass(slots=True)
class _Seen:
    probes: deque[Probe] = field(default_factory=lambda: deque(maxlen=PROBES))
    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=ATTEMPTS))
    searches: deque[Retrieval] = field(default_factory=lambda: deque(maxlen=SEARCHES))


class Memory:
    """Implements :class:`~vagus.ports.Memory` for every replica and collection in ``topology()``.

    ``is_bad`` says which attempts count as failed: a caller of it may know better than the gateway
    what an answer of this kind of component looks like.
    """

    def __init__(
        self, topology: Callable[[], Topology], is_bad: Callable[[Attempt], bool] = failed
    ) -> None:
        self._topology = topology
        self._is_bad = is_bad
        self._known: Topology | None = None
        self._seen: dict[Subject, _Seen] = {}
        self._lock = threading.Lock()

    def observe(self, batch: Sequence[Evidence]) -> None:
        """Remember the probes and the ended attempts of ``batch``."""
        with self._lock:
            self._follow_topology()
            for evidence in batch:
                seen = self._seen.get(evidence.subject)
                if seen is None:
                    continue
                if isinstance(evidence, Probe):
                    seen.probes.append(evidence)
                elif isinstance(evidence, Attempt) and evidence.phase is Phase.ENDED:
                    seen.attempts.append(evidence)
                elif isinstance(evidence, Retrieval):
                    seen.searches.append(evidence)

    def observed(self, subject: Subject, since: float) -> Observed:
        """What was seen of ``subject`` since then. A probe, an attempt or a search counts if it
        *began* since: one that was under way when something was done says nothing of what came of
        it."""
        probes, attempts = self._recalled(subject)
        probes = [p for p in probes if p.at - p.duration >= since]
        attempts = [a for a in attempts if a.started_at >= since]
        row = _good_row(probes)
        searches = [s for s in self._searches(subject) if _began(s) >= since]
        failures = [p.failure for p in probes if p.failure is not None]
        ends = [p.at for p in probes] + [a.at for a in attempts] + [s.at for s in searches]
        return Observed(
            since=since,
            until=max(ends, default=since),
            probes_ok_in_a_row=len(row),
            ok_since=row[0].at if row else None,
            probes_failed=len(failures),
            last_failure=failures[-1] if failures else None,
            time_to_first_token=median(map(_first, row)) if row else None,
            attempts=len(attempts),
            attempts_failed=sum(map(self._is_bad, attempts)),
            searches=summed_up(searches),
        )

    def typical_time_to_first_token(self, component: str, except_for: str) -> float | None:
        """Median over the siblings' own medians of their latest good probes, the lower of two: with
        one slow sibling beside a good one, the good one is the measure."""
        paces = []
        for sibling in self._topology().siblings(Subject(component, except_for)):
            probes, _ = self._recalled(sibling)
            good = [_first(p) for p in probes if p.failure is None][-TYPICAL_OF:]
            if good:
                paces.append(median(good))
        return median_low(paces) if paces else None

    def _recalled(self, subject: Subject) -> tuple[list[Probe], list[Attempt]]:
        with self._lock:
            seen = self._seen.get(subject)
            return (list(seen.probes), list(seen.attempts)) if seen is not None else ([], [])

    def _searches(self, subject: Subject) -> list[Retrieval]:
        with self._lock:
            seen = self._seen.get(subject)
            return list(seen.searches) if seen is not None else []

    def _follow_topology(self) -> None:
        topology = self._topology()
        if topology is not self._known:
            self._known = topology
            members = (*topology.replicas(), *topology.collections())
            self._seen = {s: self._seen.get(s) or _Seen() for s in members}


def _good_row(probes: Sequence[Probe]) -> list[Probe]:
    """The good probes since the last bad one, in order."""
    row: list[Probe] = []
    for probe in reversed(probes):
        if probe.failure is not None:
            break
        row.append(probe)
    return row[::-1]


def _began(search: Retrieval) -> float:
    return search.at - search.latency - search.exact_latency


def _first(probe: Probe) -> float:
    """Seconds to the first of the answer; to the whole, if it came in one piece."""
    first = probe.time_to_first_token
    return probe.duration if first is None else first
