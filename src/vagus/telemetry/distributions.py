"""Latencies of every tick as counts in log buckets, for all rows of the store.

Each tick keeps its own counts, and only those that are not zero, so that the tail over any last few
ticks is an addition and a quiet replica costs nothing. Values that we meet one by one (attempts,
probes) and histograms that engines tell are the same here: counts in cells, a cell being a bucket
of a row.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from vagus.model import Histogram
from vagus.telemetry.histograms import Histograms
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.sketch import SECONDS, Floats, Ints

SKETCH_TICKS = 120  # ticks that are kept


class Distributions:
    def __init__(self, rejections: Rejections) -> None:
        self._rejections = rejections
        self._histograms = Histograms(rejections)
        self._rows: list[int] = []  # of values of this tick
        self._values: list[float] = []
        self._ticks: deque[tuple[Ints, Ints]] = deque(maxlen=SKETCH_TICKS)  # cells, counts

    def add(self, row: int, value: float) -> None:
        self._rows.append(row)
        self._values.append(value)

    def put(self, row: int, histogram: Histogram, at: float, where: str) -> None:
        """A reading of a histogram that is cumulative."""
        self._histograms.put(row, histogram, at, where)

    def close(self, values: Floats) -> None:
        """End the tick; the median of each row that saw anything goes into ``values``."""
        rows, seen = self._accepted()
        cells, counts = self._histograms.tick()
        cells, counts = _added_up(
            np.concatenate([cells, rows * SECONDS.count + SECONDS.index(seen)]),
            np.concatenate([counts, np.ones(len(rows), dtype=np.int64)]),
        )
        touched, medians = _medians(cells, counts)
        values[touched] = medians
        # What was met one by one is known exactly.
        order = np.lexsort((seen, rows))
        rows, seen = rows[order], seen[order]
        exact, first, count = np.unique(rows, return_index=True, return_counts=True)
        values[exact] = seen[first + (count - 1) // 2]
        self._ticks.append((cells, counts))

    def _accepted(self) -> tuple[Ints, Floats]:
        rows = np.array(self._rows, dtype=np.int64)
        seen = np.array(self._values, dtype=np.float64)
        self._rows, self._values = [], []
        good = np.isfinite(seen) & (seen >= 0)
        if not good.all():
            bad = int((~good).sum())
            self._rejections.count(Rejected.NOT_FINITE, "distributions", "below zero", bad)
        return rows[good], seen[good]

    def counts(self, rows: list[int], ticks: int) -> Ints:
        """The distributions of ``rows`` over the last ``ticks``. Shape (rows, buckets)."""
        summed: Ints = np.zeros((len(rows), SECONDS.count), dtype=np.int64)
        edges = np.array(rows)[:, None] * SECONDS.count + np.array([0, SECONDS.count])
        for age in range(1, min(ticks, len(self._ticks)) + 1):
            cells, counts = self._ticks[-age]
            for index, (begin, end) in enumerate(np.searchsorted(cells, edges).tolist()):
                if begin < end:
                    summed[index, cells[begin:end] - edges[index, 0]] += counts[begin:end]
        return summed

    def forget(self, row: int) -> None:
        """Whoever is given the row next must not inherit the latencies of who had it."""
        self._histograms.begin(row)
        pairs = [p for p in zip(self._rows, self._values, strict=True) if p[0] != row]
        self._rows = [r for r, _ in pairs]
        self._values = [v for _, v in pairs]
        for tick, (cells, counts) in enumerate(self._ticks):
            others = cells // SECONDS.count != row
            if not others.all():
                self._ticks[tick] = (cells[others], counts[others])


def _added_up(cells: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Each cell once, in order."""
    once, where = np.unique(cells, return_inverse=True)
    return once, np.bincount(where, weights=counts, minlength=len(once)).astype(np.int64)


def _medians(cells: Ints, counts: Ints) -> tuple[Ints, Floats]:
    """(rows, the lower median of each), of cells in order."""
    if not len(cells):
        return cells, np.zeros(0)
    rows, first = np.unique(cells // SECONDS.count, return_index=True)
    below = np.cumsum(counts)
    before = below[first] - counts[first]
    totals = np.append(before[1:], below[-1]) - before
    middle = cells[np.searchsorted(below, before + (totals + 1) // 2)]
    return rows, SECONDS.middle(middle % SECONDS.count)
