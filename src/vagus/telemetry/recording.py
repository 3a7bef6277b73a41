"""Evidence and columns as lines of JSON, and back.

A line is a batch of evidence as it came, with the time at which it came, or one tick's column; the
series that a column's values belong to are told once and again when they change. What has its
default is left out: most of an attempt does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any

import numpy as np

from vagus.errors import MalformedData
from vagus.model import (
    Attempt,
    Evidence,
    Failure,
    Histogram,
    Phase,
    Probe,
    Retrieval,
    Scrape,
    Sense,
    Subject,
)
from vagus.model.series import Column, Series, SeriesKey

_KINDS: Mapping[str, type[Evidence]] = {
    "attempt": Attempt,
    "scrape": Scrape,
    "probe": Probe,
    "retrieval": Retrieval,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def _default(of: Field[Any]) -> object:
    return of.default if of.default_factory is MISSING else of.default_factory()


_FIELDS = {kind: [(f.name, _default(f)) for f in fields(kind)] for kind in _KINDS.values()}


def _histograms(told: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Histogram]:
    return {name: Histogram(tuple(bounds), tuple(n)) for name, (bounds, n) in told.items()}


def _plain(histograms: Mapping[str, Histogram]) -> dict[str, object]:
    return {name: (h.bounds, h.counts) for name, h in histograms.items()}


_WRITE: Mapping[str, Callable[[Any], object]] = {"values": dict, "histograms": _plain}
_READ: Mapping[str, Callable[[Any], object]] = {
    "subject": Subject.parse,
    "failure": Failure,
    "phase": Phase,
    "sense": Sense,
    "histograms": _histograms,
}
"""Fields that JSON can't hold as they are."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Evidence that came together."""

    at: float
    evidence: tuple[Evidence, ...]


def batch_line(at: float, batch: Sequence[Evidence]) -> bytes:
    return _line({"at": at, "batch": [_row(evidence) for evidence in batch]})


def series_line(series: Series) -> bytes:
    told = [None if s is None else _told(s) for s in series]
    return _line({"series": told})


def column_line(column: Column) -> bytes:
    """Values to six digits, which is more than any of them is worth."""
    values = [None if math.isnan(v) else float(f"{v:.6g}") for v in column.values.tolist()]
    return _line({"at": column.at, "column": values})


def is_batch(line: bytes) -> bool:
    """Whether it is evidence, told by how it begins: most lines are, and who wants columns need not
    read them."""
    return line.find(b'"batch":', 0, 48) > 0


class Reader:
    """Lines of one recording, in order: columns need the series that were told before."""

    def __init__(self) -> None:
        self._series: Series = ()

    def read(self, line: bytes, where: str) -> Batch | Column | None:
        """None for a line that only tells the series. Raises MalformedData."""
        try:
            row = json.loads(line)
            if "batch" in row:
                return Batch(row["at"], tuple(map(_evidence, row["batch"])))
            if "column" in row:
                return self._column(row["at"], row["column"])
            self._series = tuple(map(_key, row["series"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise MalformedData(f"is no recorded line: {error!r}", where=where) from error
        return None

    def _column(self, at: float, told: Sequence[float | None]) -> Column:
        if len(told) != len(self._series):
            raise ValueError(f"{len(told)} values for {len(self._series)} series")
        values = np.array([math.nan if v is None else v for v in told], dtype=np.float64)
        return Column(at, self._series, values)


def _line(row: Mapping[str, object]) -> bytes:
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()


def _row(evidence: Evidence) -> dict[str, object]:
    row: dict[str, object] = {"kind": _NAMES[type(evidence)], "subject": str(evidence.subject)}
    for name, default in _FIELDS[type(evidence)][1:]:
        value = getattr(evidence, name)
        if default is MISSING or value != default:
            row[name] = _WRITE[name](value) if name in _WRITE else value
    return row


def _evidence(row: dict[str, object]) -> Evidence:
    kind = _KINDS[str(row.pop("kind"))]
    told = {name: _READ[name](v) if name in _READ else v for name, v in row.items()}
    return kind(**told)  # type: ignore[arg-type]


def _key(told: Sequence[str] | None) -> SeriesKey | None:
    if told is None:
        return None
    subject, signal, sense, *cohort = told
    return SeriesKey(Subject.parse(subject), signal, Sense(sense), *cohort)


def _told(key: SeriesKey) -> list[str]:
    told = [str(key.subject), key.signal, key.sense]
    return [*told, key.cohort] if key.cohort else told
