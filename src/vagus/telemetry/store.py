"""The columnar store: series are rows, ticks are columns, and the last minutes are kept.

Evidence only updates where a series stands now; a tick writes all of it as one column. Counters
become rates there, since only between two ticks does a counter mean anything, and a counter that
went down was reset: its rate since then is unknown for one tick, never negative. What was not seen
in a tick is NaN, which is a state of its own and not the last value once more.

Latencies are distributions, not numbers: each replica has a sketch for every window of a few ticks,
and a quantile over the last minute is one addition of sketches.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from vagus.model import Attempt, Evidence, Phase, Scrape, Subject
from vagus.snapshot import Vitals
from vagus.telemetry import sketch
from vagus.telemetry.rejections import Rejections
from vagus.telemetry.signals import SIGNALS
from vagus.topology import Topology

TICKS = 600  # columns kept: ten minutes on a grid of 1 s
WINDOW = 5  # ticks a sketch spans
WINDOWS = 12  # sketches kept: a minute on a grid of 1 s
VITALS_TICKS = 10  # over which the live figures are averaged
MAX_SERIES_PER_SUBJECT = 64

TTFT = "gen_ai.server.time_to_first_token"
REQUESTS = "vagus.gateway.requests"
FAILED = "vagus.gateway.requests.failed"
RUNNING = "vagus.server.requests.running"


class Store:
    def __init__(self, topology: Callable[[], Topology], rejections: Rejections) -> None:
        self._topology = topology
        self._rejections = rejections
        self._rows: dict[tuple[Subject, str], int] = {}
        self._free: list[int] = []
        self._is_counter = np.zeros(64, dtype=bool)
        self._current = np.full(64, np.nan)  # what was seen in this tick
        self._before = np.full(64, np.nan)  # a counter as it stood at the last tick
        self._columns = np.full((64, TICKS), np.nan)
        self._times = np.full(TICKS, np.nan)
        self._tick = 0
        self._firsts: dict[Subject, list[float]] = defaultdict(list)  # TTFTs seen in this tick
        self._sketch_row: dict[Subject, int] = {}
        self._sketches = np.zeros((8, WINDOWS, sketch.BUCKETS), dtype=np.uint32)

    def observe(self, batch: Sequence[Evidence]) -> None:
        for evidence in batch:
            if isinstance(evidence, Scrape):
                for signal, value in evidence.values.items():
                    self._put(evidence.subject, signal, value)
            elif isinstance(evidence, Attempt) and evidence.phase is Phase.ENDED:
                self._add(evidence.subject, REQUESTS, 1.0)
                self._add(evidence.subject, FAILED, float(evidence.failure is not None))
                if evidence.time_to_first_token is not None and evidence.failure is None:
                    self._firsts[evidence.subject].append(evidence.time_to_first_token)

    def tick(self, now: float) -> None:
        """Close the tick: everything that was seen in it becomes one column."""
        column = self._tick % TICKS
        for subject, firsts in self._firsts.items():
            self._put(subject, TTFT, median(firsts))
        self._sketch_tick()
        self._firsts.clear()
        with np.errstate(invalid="ignore"):
            elapsed = now - self._times[(self._tick - 1) % TICKS]
            grown = self._current - self._before
            rate = np.where(grown >= 0, grown / elapsed, np.nan)
        self._columns[:, column] = np.where(self._is_counter, rate, self._current)
        seen = ~np.isnan(self._current)
        self._before[seen] = self._current[seen]
        self._current[~self._is_ours()] = np.nan
        self._times[column] = now
        self._tick += 1
        if self._tick % TICKS == 0:
            self._drop_departed()

    def last(self, subject: Subject, signal: str, ticks: int) -> NDArray[np.float64]:
        """The last ``ticks`` columns of one series, oldest first; NaN where nothing was seen."""
        row = self._rows.get((subject, signal))
        if row is None:
            return np.full(ticks, np.nan)
        columns = np.arange(self._tick - ticks, self._tick) % TICKS
        values: NDArray[np.float64] = self._columns[row, columns]
        return values

    def quantile(self, subject: Subject, q: float) -> float | None:
        """Of the time to first token, over the last minute; None if none was seen."""
        row = self._sketch_row.get(subject)
        if row is None:
            return None
        value = float(sketch.quantile(self._sketches[row].sum(axis=0, dtype=np.uint32)[None], q)[0])
        return None if np.isnan(value) else value

    def vitals(self) -> dict[Subject, Vitals]:
        """The live figures of every replica."""
        return {subject: self._vitals(subject) for subject in self._topology().replicas()}

    def series(self) -> Sequence[tuple[Subject, str]]:
        return list(self._rows)

    def _vitals(self, subject: Subject) -> Vitals:
        trend = self.last(subject, TTFT, 60)
        return Vitals(
            requests_per_s=_mean(self.last(subject, REQUESTS, VITALS_TICKS)),
            failed_per_s=_mean(self.last(subject, FAILED, VITALS_TICKS)),
            ttft_p50=self.quantile(subject, 0.5),
            ttft_p95=self.quantile(subject, 0.95),
            running=_mean(self.last(subject, RUNNING, 1)),
            ttft_trend=tuple(None if np.isnan(v) else float(v) for v in trend),
        )

    def _put(self, subject: Subject, signal: str, value: float) -> None:
        row = self._row(subject, signal)
        if row is not None:
            self._current[row] = value

    def _add(self, subject: Subject, signal: str, amount: float) -> None:
        """Count ourselves: such a counter goes on from where it stood."""
        row = self._row(subject, signal)
        if row is not None:
            stood = self._current[row]
            self._current[row] = amount if np.isnan(stood) else stood + amount

    def _is_ours(self) -> NDArray[np.bool_]:
        ours = np.zeros(len(self._current), dtype=bool)
        ours[[row for (_, signal), row in self._rows.items() if signal in (REQUESTS, FAILED)]] = (
            True
        )
        return ours

    def _row(self, subject: Subject, signal: str) -> int | None:
        row = self._rows.get((subject, signal))
        if row is None:
            kept = sum(known == subject for known, _ in self._rows)
            if kept >= MAX_SERIES_PER_SUBJECT:
                self._rejections.count("store_series", str(subject), "more series than are kept")
                return None
            row = self._free.pop() if self._free else len(self._rows)
            if row >= len(self._current):
                self._grow()
            self._rows[subject, signal] = row
            self._is_counter[row] = SIGNALS[signal].counter
            self._current[row] = self._before[row] = np.nan
            if signal in (REQUESTS, FAILED):
                self._before[row] = 0.0
            self._columns[row] = np.nan
        return row

    def _grow(self) -> None:
        more = len(self._current)
        self._is_counter = np.concatenate([self._is_counter, np.zeros(more, dtype=bool)])
        self._current = np.concatenate([self._current, np.full(more, np.nan)])
        self._before = np.concatenate([self._before, np.full(more, np.nan)])
        self._columns = np.concatenate([self._columns, np.full((more, TICKS), np.nan)])

    def _sketch_tick(self) -> None:
        slot = (self._tick // WINDOW) % WINDOWS
        if self._tick % WINDOW == 0:
            self._sketches[:, slot] = 0
        for subject, firsts in self._firsts.items():
            row = self._sketch_row.setdefault(subject, len(self._sketch_row))
            if row >= len(self._sketches):
                self._sketches = np.concatenate([self._sketches, np.zeros_like(self._sketches)])
            values = np.asarray(firsts)
            sketch.add(self._sketches[:, slot], np.full(len(values), row), values)

    def _drop_departed(self) -> None:
        """Rows of replicas that are gone are free for others; once per ring is often enough."""
        present = set(self._topology().replicas())
        for key in [key for key in self._rows if key[0] not in present]:
            self._free.append(self._rows.pop(key))


def _mean(values: NDArray[np.float64]) -> float | None:
    seen = values[~np.isnan(values)]
    return float(seen.mean()) if len(seen) else None
