"""One target's samples into signals, by the dialect of its engine.

What a series means is looked up when it is first seen. As long as the layout of the exposition
stays, the same places are picked and put together each time, whatever else the target tells: an
engine has hundreds of series and Vagus reads a few dozen.

The buckets of a histogram are as many series, one for each bound, and once more for each model or
engine behind the same address. They are put together only where their bounds are the same; counts
of buckets that differ can't be added.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vagus.model import Histogram
from vagus.model.signals import SIGNALS, Combine
from vagus.telemetry.dialects import Dialect, is_distribution
from vagus.telemetry.exposition import Samples
from vagus.telemetry.sample_line import Labels, Series

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Translated:
    """Canonical name -> what was told of it."""

    values: dict[str, float]
    histograms: dict[str, Histogram]


@dataclass(frozen=True, slots=True)
class _Part:
    """A sample that belongs to a signal."""

    place: int  # in the samples
    signal: str
    scale: float
    series: Series


@dataclass(frozen=True, slots=True)
class _Buckets:
    """Where the buckets of one signal stand: a row for each series of them, in the order of
    ``bounds`` and then the one that is above them all."""

    signal: str
    bounds: tuple[float, ...]
    places: Ints  # shape (series, bounds + 1)


class Known(Protocol):
    """Where the series come from that samples name by number. ``series`` only grows, until all are
    forgotten and ``epoch`` counts up."""

    series: list[Series]
    epoch: int


class Translator:
    """Belongs to one parser, whose series it follows."""

    def __init__(self, dialect: Dialect, parser: Known) -> None:
        self.rejected = 0  # histograms that could not be put together, so far
        self.last_rejection = ""
        self._dialect = dialect
        self._parser = parser
        self._epoch = parser.epoch
        self._meaning: list[list[tuple[str, float]]] = []  # by id of series: signal, scale
        self._ids: Ints | None = None  # the layout that the plan is for
        self._names: tuple[str, ...] = ()
        self._places = np.zeros(0, dtype=np.int64)  # in the samples
        self._scales = np.zeros(0)
        self._into = np.zeros(0, dtype=np.int64)  # index of the signal in names
        self._shares = np.ones(0)  # what the sum of a signal is divided by: how many, of a mean
        self._largest: tuple[tuple[str, Ints], ...] = ()  # places of what is a maximum
        self._buckets: tuple[_Buckets, ...] = ()

    def translate(self, samples: Samples) -> Translated:
        """What ``samples`` say in the names of the catalogue."""
        if samples.ids is not self._ids:
            self._plan(samples.ids)
        parts = samples.values[self._places] * self._scales
        sums = np.bincount(self._into, weights=parts, minlength=len(self._names))
        values = dict(zip(self._names, (sums / self._shares).tolist(), strict=True))
        for name, among in self._largest:
            values[name] = float(parts[among].max())
        return Translated(values, dict(self._histograms(samples.values)))

    def _histograms(self, values: Floats) -> Iterable[tuple[str, Histogram]]:
        for buckets in self._buckets:
            below = values[buckets.places]
            below = below[0] if len(below) == 1 else below.sum(axis=0)
            counts = below.copy()
            counts[1:] -= below[:-1]
            if not 0 <= counts.min() <= counts.max() < math.inf:
                self._reject(f"{buckets.signal}: a bucket holds less than the one below it")
                continue
            yield buckets.signal, Histogram(buckets.bounds, tuple(counts.tolist()))

    def _plan(self, ids: Ints) -> None:
        if self._parser.epoch != self._epoch:
            self._epoch, self._meaning = self._parser.epoch, []
        for series in self._parser.series[len(self._meaning) :]:
            meanings = self._dialect.meanings(series)
            self._meaning.append([(meaning.signal, meaning.scale) for meaning in meanings])
        found = [
            _Part(place, signal, scale, self._parser.series[number])
            for place, number in enumerate(ids.tolist())
            for signal, scale in self._meaning[number]
        ]
        self._plan_values([part for part in found if not is_distribution(part.signal)])
        self._buckets = tuple(self._plan_buckets(p for p in found if is_distribution(p.signal)))
        self._ids = ids

    def _plan_values(self, parts: list[_Part]) -> None:
        names = {
            signal: index for index, signal in enumerate(dict.fromkeys(p.signal for p in parts))
        }
        self._names = tuple(names)
        self._places = np.array([part.place for part in parts], dtype=np.int64)
        self._scales = np.array([part.scale for part in parts], dtype=np.float64)
        self._into = np.array([names[part.signal] for part in parts], dtype=np.int64)
        how = {name: SIGNALS[name].combine for name in names}
        many = np.bincount(self._into, minlength=len(names))
        means = np.array([how[name] is Combine.MEAN for name in names], dtype=np.bool_)
        self._shares = np.where(means, np.maximum(many, 1), 1).astype(np.float64)
        self._largest = tuple(
            (name, np.flatnonzero(self._into == index))
            for name, index in names.items()
            if how[name] is Combine.MAX
        )

    def _plan_buckets(self, parts: Iterable[_Part]) -> Iterable[_Buckets]:
        by_signal: dict[str, dict[tuple[str, Labels], dict[float, int]]] = {}
        for part in parts:
            labels = dict(part.series.labels)
            bound = _bound(labels.pop("le", ""))
            who = (part.series.name, tuple(labels.items()))
            # A bound that is none makes its whole histogram unusable: it is not left out of it.
            group = by_signal.setdefault(part.signal, {}).setdefault(who, {})
            group[bound * part.scale] = part.place
        for signal, groups in by_signal.items():
            yield from self._put_together(signal, groups)

    def _put_together(
        self, signal: str, groups: Mapping[tuple[str, Labels], Mapping[float, int]]
    ) -> Iterable[_Buckets]:
        bounds: tuple[float, ...] = ()
        rows: list[list[int]] = []
        for (name, _), places in groups.items():
            told = tuple(sorted(places))
            if any(map(math.isnan, told)) or told[-1] != math.inf or len(told) < 2:
                self._reject(f"{name}: its buckets have no bounds, or no last one")
            elif rows and told != bounds:
                self._reject(f"{name}: its buckets differ from others of {signal}")
            else:
                bounds = told
                rows.append([places[bound] for bound in told])
        if rows:
            yield _Buckets(signal, bounds[:-1], np.array(rows, dtype=np.int64))

    def _reject(self, why: str) -> None:
        self.rejected += 1
        self.last_rejection = why


def _bound(text: str) -> float:
    """NaN for what is no number."""
    try:
        return float(text)
    except ValueError:
        return math.nan
