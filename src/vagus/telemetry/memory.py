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
from statistics import median

from vagus.model import Attempt, Evidence, Observed, Phase, Probe, Subject
from vagus.topology import Topology

PROBES = 256  # kept per replica: two minutes at two a second
ATTEMPTS = 2048  # ended ones kept per replica: two minutes at 16 a second
TYPICAL_OF = 8  # latest good probes of a sibling that its pace is taken from


@dataclass(slots=True)
class _Seen:
    probes: deque[Probe] = field(default_factory=lambda: deque(maxlen=PROBES))
    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=ATTEMPTS))


class Memory:
    """Implements :class:`~vagus.ports.Memory`."""

    def __init__(self, topology: Callable[[], Topology]) -> None:
        self._topology = topology
        self._seen: dict[Subject, _Seen] = {}
        self._lock = threading.Lock()

    def observe(self, batch: Sequence[Evidence]) -> None:
        with self._lock:
            for evidence in batch:
                if isinstance(evidence, Probe):
                    self._of(evidence.subject).probes.append(evidence)
                elif isinstance(evidence, Attempt) and evidence.phase is Phase.ENDED:
                    self._of(evidence.subject).attempts.append(evidence)

    def observed(self, subject: Subject, since: float) -> Observed:
        """What was seen of ``subject`` since then. An attempt counts if it *began* since: one that
        was in flight when something was done says nothing about what came of it."""
        with self._lock:
            seen = self._seen.get(subject, _Seen())
            probes = [p for p in seen.probes if p.at - p.duration >= since]
            attempts = [a for a in seen.attempts if a.started_at >= since]
        row = _good_row(probes)
        failures = [p.failure for p in probes if p.failure is not None]
        firsts = [p.time_to_first_token for p in row if p.time_to_first_token is not None]
        ends = [p.at for p in probes] + [a.at for a in attempts]
        return Observed(
            since=since,
            until=max(ends, default=since),
            probes_ok_in_a_row=len(row),
            ok_since=row[0].at if row else None,
            probes_failed=len(failures),
            last_failure=failures[-1] if failures else None,
            time_to_first_token=median(firsts) if firsts else None,
            attempts=len(attempts),
            attempts_failed=sum(a.failure is not None for a in attempts),
        )

    def typical_time_to_first_token(self, component: str, except_for: str) -> float | None:
        """Median over the siblings' own medians of their latest good probes."""
        siblings = self._topology().siblings(Subject(component, except_for))
        with self._lock:
            paces = [
                median(firsts)
                for sibling in siblings
                if (firsts := _firsts(self._seen.get(sibling)))
            ]
        return median(paces) if paces else None

    def forget_all_but(self, subjects: frozenset[Subject]) -> None:
        """Drop replicas that are no longer there."""
        with self._lock:
            for subject in self._seen.keys() - subjects:
                del self._seen[subject]

    def _of(self, subject: Subject) -> _Seen:
        return self._seen.setdefault(subject, _Seen())


def _good_row(probes: Sequence[Probe]) -> list[Probe]:
    """The good probes since the last bad one."""
    row: list[Probe] = []
    for probe in reversed(probes):
        if probe.failure is not None:
            break
        row.append(probe)
    return row[::-1]


def _firsts(seen: _Seen | None) -> list[float]:
    if seen is None:
        return []
    good = [p.time_to_first_token for p in seen.probes if p.failure is None]
    return [first for first in good if first is not None][-TYPICAL_OF:]
