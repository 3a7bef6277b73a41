"""Engines' histograms: what was added since the last reading, in our own buckets."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.clock import ManualClock
from vagus.model import Histogram
from vagus.telemetry.histograms import Histograms
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.sketch import SECONDS, quantiles

BOUNDS = (0.1, 0.5, 1.0, 2.0)


class Bench:
    def __init__(self) -> None:
        self.rejections = Rejections(ManualClock())
        self.histograms = Histograms(self.rejections)
        self.at = 1000.0

    def tell(self, *counts: float, bounds: tuple[float, ...] = BOUNDS, after: float = 1.0) -> None:
        self.at += after
        self.histograms.put(0, Histogram(bounds, counts), self.at, "here")

    def added(self) -> dict[int, int]:
        cells, counts = self.histograms.tick()
        return dict(zip(cells.tolist(), counts.tolist(), strict=True))

    def quantile(self, share: float) -> float:
        row = np.zeros((1, SECONDS.count), dtype=np.int64)
        for cell, count in self.added().items():
            row[0, cell] = count
        return float(quantiles(row, share, SECONDS)[0])

    def counted(self) -> dict[Rejected, int]:
        return dict(self.rejections.counts)


def test_what_was_added_lies_within_the_bounds_of_its_bucket() -> None:
    bench = Bench()
    bench.tell(5, 5, 5, 5, 5)
    assert bench.added() == {}  # what was before we looked is nobody's latency now
    bench.tell(5, 5, 105, 5, 5)
    assert bench.quantile(0.5) == pytest.approx(0.75, rel=0.03)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 1000, 12345])
def test_no_count_is_lost_or_made(count: int) -> None:
    bench = Bench()
    bench.tell(0, 0, 0, 0, 0)
    bench.tell(count, 0, count, 0, count)
    assert sum(bench.added().values()) == 3 * count


def test_beyond_the_last_bound_is_the_last_bound() -> None:
    bench = Bench()
    bench.tell(0, 0, 0, 0, 0)
    bench.tell(0, 0, 0, 0, 9)
    assert bench.quantile(0.99) == pytest.approx(2.0, rel=2 * SECONDS.error)


def test_a_count_that_went_down_has_grown_from_zero() -> None:
    bench = Bench()
    bench.tell(5, 5, 5, 5, 5)
    bench.tell(0, 2, 0, 0, 0)
    assert sum(bench.added().values()) == 2
    assert bench.counted() == {Rejected.COUNTER_RESET: 1}


def test_other_bounds_begin_anew() -> None:
    bench = Bench()
    bench.tell(5, 5, 5, 5, 5)
    bench.tell(9, 9, 9, bounds=(1.0, 2.0))
    assert bench.added() == {}
    bench.tell(9, 10, 9, bounds=(1.0, 2.0))
    assert sum(bench.added().values()) == 1
    assert bench.counted() == {Rejected.BUCKETS_CHANGED: 1}


def test_late_and_early() -> None:
    bench = Bench()
    bench.tell(1, 1, 1, 1, 1)
    bench.tell(9, 9, 9, 9, 9, after=0.0)
    assert bench.counted() == {Rejected.OUT_OF_ORDER: 1}
    bench.tell(9, 9, 9, 9, 9, after=-500.0)
    assert bench.added() == {}
    bench.tell(9, 9, 9, 9, 10)
    assert sum(bench.added().values()) == 1
    assert bench.counted()[Rejected.CLOCK_JUMPED] == 1


@pytest.mark.parametrize(
    "histogram",
    [
        Histogram((), (1.0,)),
        Histogram((1.0,), (1.0,)),
        Histogram((2.0, 1.0), (1.0, 1.0, 1.0)),
        Histogram((1.0, float("inf")), (1.0, 1.0, 1.0)),
        Histogram((1.0,), (1.0, float("nan"))),
        Histogram((1.0,), (1.0, -1.0)),
        Histogram(tuple(map(float, range(1000))), (0.0,) * 1001),
    ],
)
def test_what_is_no_histogram_changes_nothing(histogram: Histogram) -> None:
    bench = Bench()
    bench.tell(0, 0, 0, 0, 0)
    bench.histograms.put(0, histogram, bench.at + 1, "here")
    bench.tell(1, 0, 0, 0, 0)
    assert sum(bench.added().values()) == 1
    assert bench.counted() == {Rejected.NOT_FINITE: 1}


def test_a_row_that_is_given_away_takes_its_past_with_it() -> None:
    bench = Bench()
    bench.tell(0, 0, 0, 0, 0)
    bench.tell(5, 5, 5, 5, 5)
    bench.histograms.begin(0)
    assert bench.added() == {}
    bench.tell(9, 9, 9, 9, 9)
    assert bench.added() == {}
