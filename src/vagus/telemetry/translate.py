"""One target's samples into signals, by the dialect of its engine.

What a series means is looked up when it is first seen. As long as the layout of the exposition
stays, the same places are picked and added up each time, whatever else the target tells: an engine
has hundreds of series and Vagus reads ten.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vagus.telemetry.dialects import Dialect
from vagus.telemetry.exposition import Parser, Samples


class Translator:
    """Belongs to one parser, whose series it follows."""

    def __init__(self, dialect: Dialect, parser: Parser) -> None:
        self._dialect = dialect
        self._parser = parser
        self._epoch = parser.epoch
        self._meaning: list[list[tuple[str, float]]] = []  # by id of series
        self._ids: NDArray[np.int64] | None = None  # the layout that the plan is for
        self._names: tuple[str, ...] = ()
        self._places = np.zeros(0, dtype=np.int64)  # in the samples
        self._scales = np.zeros(0)
        self._into = np.zeros(0, dtype=np.int64)  # index of the signal in names

    def signals(self, samples: Samples) -> dict[str, float]:
        """Canonical name -> value."""
        if samples.ids is not self._ids:
            self._plan(samples.ids)
        parts = samples.values[self._places] * self._scales
        sums = np.bincount(self._into, weights=parts, minlength=len(self._names))
        return dict(zip(self._names, sums.tolist(), strict=True))

    def _plan(self, ids: NDArray[np.int64]) -> None:
        if self._parser.epoch != self._epoch:
            self._epoch, self._meaning = self._parser.epoch, []
        for series in self._parser.series[len(self._meaning) :]:
            self._meaning.append(self._dialect.meanings(series))
        found = [
            (place, signal, scale)
            for place, number in enumerate(ids.tolist())
            for signal, scale in self._meaning[number]
        ]
        names = {signal: index for index, signal in enumerate(dict.fromkeys(f[1] for f in found))}
        self._names = tuple(names)
        self._places = np.array([place for place, _, _ in found], dtype=np.int64)
        self._scales = np.array([scale for _, _, scale in found], dtype=np.float64)
        self._into = np.array([names[signal] for _, signal, _ in found], dtype=np.int64)
        self._ids = ids
