"""Distributions as counts in fixed logarithmic buckets.

A mean hides the tail and a list of values grows without end. Fixed log buckets are the dullest
sketch there is and for fleets the best: adding is one logarithm, merging is one addition (exact, in
any order, over replicas and over time), the relative error is bounded everywhere, and many series
are one array, so that a batch for all of them is one call.

Buckets are those of OpenTelemetry's exponential histograms at the same scale: with ``base =
2**(2**-scale)``, bucket ``i`` holds ``base**i < v <= base**(i + 1)``. What is outside of the range
counts in the first or last bucket, so a count is never lost.

Specification: OpenTelemetry metrics data model, "ExponentialHistogram".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Buckets:
    """Buckets of ``2**scale`` an octave, from ``2**lowest`` up to ``2**highest``."""

    scale: int
    lowest: int
    highest: int

    @property
    def count(self) -> int:
        return (self.highest - self.lowest) << self.scale

    @property
    def offset(self) -> int:
        """OpenTelemetry's index of our bucket 0."""
        return self.lowest << self.scale

    @property
    def error(self) -> float:
        """The largest relative error of a quantile, within the range."""
        return float(2.0 ** (2.0 ** -(self.scale + 1))) - 1.0

    @property
    def bounds(self) -> Floats:
        """The upper bound of each bucket but the last, which has none. Shape (count - 1,)."""
        inner = (np.arange(1, self.count) + self.offset) / (1 << self.scale)
        return np.asarray(np.exp2(inner), dtype=np.float64)

    def index(self, values: Floats) -> Ints:
        """The bucket of each value; ``values`` are not NaN. Shape as given."""
        with np.errstate(divide="ignore", invalid="ignore"):
            exact = np.log2(values) * (1 << self.scale)
        # Not above zero: -inf and NaN of the logarithm, both below every bucket.
        exact[~(exact > self.offset)] = self.offset
        found = np.ceil(np.minimum(exact, self.offset + self.count)).astype(np.int64)
        index: Ints = np.clip(found - 1 - self.offset, 0, self.count - 1)
        return index

    def middle(self, index: Ints) -> Floats:
        """The value that stands for a bucket: its geometric middle."""
        exponents = (index + self.offset + 0.5) / (1 << self.scale)
        return np.asarray(np.exp2(exponents), dtype=np.float64)


SECONDS = Buckets(scale=5, lowest=-16, highest=12)
"""15 us to 68 minutes at 1.1 %: the latency of anything that answers people. 7 KB a row."""


def quantiles(counts: Ints, share: float, buckets: Buckets) -> Floats:
    """The ``share`` quantile (0..1) of each row of ``counts``, shape (rows, buckets.count).

    NaN for a row without counts.
    """
    below = counts.cumsum(axis=1)
    totals = below[:, -1]
    ranks = np.maximum(np.ceil(share * totals), 1)
    found = (below < ranks[:, None]).sum(axis=1)
    values = buckets.middle(np.minimum(found, buckets.count - 1))
    values[totals == 0] = np.nan
    return values


def laid_out(bounds: tuple[float, ...], counts: Floats, buckets: Buckets) -> Ints:
    """Histograms with other bounds in ``buckets``, evenly by value within each of theirs.

    ``counts`` has the shape (n, bounds + 1), the result (n, buckets.count). Rounded as running
    sums, so that no count is lost and none is made.
    """
    below = np.rint(np.cumsum(counts @ _shares(bounds, buckets), axis=1))
    laid: Ints = np.diff(below, axis=1, prepend=0.0).astype(np.int64)
    return laid


@lru_cache(maxsize=256)
def _shares(bounds: tuple[float, ...], buckets: Buckets) -> Floats:
    """Which share of a bucket lies in which of ours. Shape (bounds + 1, buckets.count)."""
    edges = np.concatenate([[-np.inf], buckets.bounds, [np.inf]])
    shares = np.zeros((len(bounds) + 1, buckets.count))
    lows = (min(0.0, bounds[0]), *bounds)
    for index, (low, high) in enumerate(zip(lows, (*bounds, bounds[-1]), strict=True)):
        if high > low:
            shares[index] = np.diff(np.clip((edges - low) / (high - low), 0.0, 1.0))
        else:
            shares[index, buckets.index(np.array([high]))[0]] = 1.0
    return shares


class Sketches:
    """One distribution a row: ``counts`` has the shape (rows, buckets.count)."""

    def __init__(self, rows: int, buckets: Buckets = SECONDS) -> None:
        self.buckets = buckets
        self.counts: Ints = np.zeros((rows, buckets.count), dtype=np.int64)

    def add(self, rows: Ints, values: Floats) -> None:
        """Count ``values[i]`` in row ``rows[i]``; NaN is no value. Shapes (n,)."""
        known = ~np.isnan(values)
        if not known.all():
            rows, values = rows[known], values[known]
        cells = rows * self.buckets.count + self.buckets.index(values)
        flat = self.counts.reshape(-1)
        if len(cells) * 4 > len(flat):
            flat += np.bincount(cells, minlength=len(flat))
        else:
            np.add.at(flat, cells, 1)

    def merge(self, other: Sketches) -> None:
        """Add the counts of ``other``, which has the same rows and buckets."""
        if other.buckets != self.buckets:
            raise ValueError(f"buckets differ: {other.buckets} and {self.buckets}")
        self.counts += other.counts

    def quantile(self, share: float) -> Floats:
        """The ``share`` quantile of each row, NaN where there is nothing. Shape (rows,)."""
        return quantiles(self.counts, share, self.buckets)
