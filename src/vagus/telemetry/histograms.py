"""Histograms of engines: cumulative counts in, what was added since as log buckets out.

An engine counts into buckets of its own choice, and tells totals since it began. What is of
interest is the distribution of what happened in *this* tick, in the buckets of
:mod:`vagus.telemetry.sketch`, so that it can be merged with any other. So each reading is compared
with the one before it, and what was added in a bucket is laid over the log buckets within its
bounds, evenly by value: that is what Prometheus assumes too, and nobody knows better. A quantile is
therefore as exact as the engine's buckets are narrow; above the last bound it is the last bound.

The rules are those of counters: a count that went down was reset, and has grown from zero since.
Buckets that changed say nothing of what was added, so counting begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vagus.model import Histogram
from vagus.telemetry.readings import JUMP_BACK_S
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.sketch import SECONDS, Floats, Ints, laid_out

MAX_BOUNDS = 512  # of one histogram
MAX_COUNT = 2.0**53  # in a bucket; beyond, one more is not told from none
_AT_ONCE = 512  # deltas that are laid out together: 3.6 MB


@dataclass(frozen=True, slots=True)
class _Last:
    at: float
    bounds: tuple[float, ...]
    counts: Floats


class Histograms:
    """By row of the store."""

    def __init__(self, rejections: Rejections) -> None:
        self._rejections = rejections
        self._last: dict[int, _Last] = {}
        self._added: dict[tuple[float, ...], list[tuple[int, Floats]]] = {}

    def begin(self, row: int) -> None:
        """``row`` is another series from now on."""
        self._last.pop(row, None)
        for bounds, added in self._added.items():
            self._added[bounds] = [one for one in added if one[0] != row]

    def put(self, row: int, histogram: Histogram, at: float, where: str) -> None:
        """A reading of ``row``; what can't be used is counted and changes nothing."""
        counts = np.array(histogram.counts, dtype=np.float64)
        if not (_is_sound(histogram) and np.isfinite(counts).all() and np.isfinite(at)):
            self._rejections.count(Rejected.NOT_FINITE, where, "buckets that are none")
            return
        last = self._last.get(row)
        if last is not None and 0 <= last.at - at <= JUMP_BACK_S:
            self._rejections.count(Rejected.OUT_OF_ORDER, where, "a histogram that is not newer")
            return
        self._last[row] = _Last(at, histogram.bounds, counts)
        if last is None:
            return
        if last.at > at:
            self._rejections.count(Rejected.CLOCK_JUMPED, where, "back; counting begins anew")
            return
        if last.bounds != histogram.bounds:
            self._rejections.count(Rejected.BUCKETS_CHANGED, where, "counting begins anew")
            return
        added = counts - last.counts
        if (added < 0).any():
            self._rejections.count(Rejected.COUNTER_RESET, where, "counted from zero")
            added = counts
        if added.any():
            self._added.setdefault(histogram.bounds, []).append((row, added))

    def tick(self) -> tuple[Ints, Ints]:
        """What was added since the last tick: (cells, counts), cell = row * buckets + bucket."""
        cells: list[Ints] = []
        counts: list[Ints] = []
        for bounds, added in self._added.items():
            for first in range(0, len(added), _AT_ONCE):
                some = added[first : first + _AT_ONCE]
                rows = np.array([row for row, _ in some], dtype=np.int64)
                laid = laid_out(bounds, np.array([d for _, d in some]), SECONDS)
                where, bucket = np.nonzero(laid)
                cells.append(rows[where] * SECONDS.count + bucket)
                counts.append(laid[where, bucket])
        self._added = {}
        if not cells:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        return np.concatenate(cells), np.concatenate(counts)


def _is_sound(histogram: Histogram) -> bool:
    bounds = np.array(histogram.bounds, dtype=np.float64)
    return (
        0 < len(bounds) <= MAX_BOUNDS
        and len(histogram.counts) == len(bounds) + 1
        and bool(np.isfinite(bounds).all() and (np.diff(bounds) > 0).all())
        and 0 <= min(histogram.counts) <= max(histogram.counts) <= MAX_COUNT
    )
