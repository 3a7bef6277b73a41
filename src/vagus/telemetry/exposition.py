"""Prometheus's text format, fast.

A target tells the same series in the same order at every scrape: nothing but the numbers differs.
So the parser remembers how each line begins (name and labels) and which series that is, and from
the second time on a line costs taking its beginning away and converting the rest, both in C for all
lines at once. When the layout has changed, lines are looked up one by one by their beginning; a
line that is new, or carries a timestamp or an exemplar in an unusual place, goes through the full
parser (:mod:`vagus.telemetry.sample_line`).

That a known beginning is enough is no guess: a beginning is kept only if the full parser has found
that the value follows it, and reading goes from left to right, so whatever comes after it can't
change what it meant.

Lines of metadata are passed over: what a number means is said by the dialect. What the target may
cost is bounded: series, remembered beginnings, and lines that are read in full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from vagus.errors import MalformedData
from vagus.telemetry.sample_line import Series, number, read_sample, read_value

MAX_SERIES = 20_000  # of one target; the rest is counted, not kept

_DROPPED = -1  # in the place of an id: known, and not kept


@dataclass(frozen=True, slots=True)
class Samples:
    """One exposition: ``values[i]`` belongs to ``Parser.series[ids[i]]``. Shapes (n,).

    ``ids`` is the same object for as long as the layout of the exposition is the same.
    """

    ids: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where in an exposition the samples are, how they begin, and what the other lines are."""

    lines: int
    samples: Callable[[Sequence[str]], tuple[str, ...]]
    prefixes: tuple[str, ...]
    ids: NDArray[np.int64]
    others: Callable[[Sequence[str]], tuple[str, ...]]
    metadata: tuple[str, ...]

    def read(self, lines: list[str]) -> NDArray[np.float64] | None:
        """The values, or None if this exposition has another layout."""
        if len(lines) != self.lines or self.others(lines) != self.metadata:
            return None
        try:
            # A line that begins otherwise is left whole, and then it is not a number.
            rests = map(str.removeprefix, self.samples(lines), self.prefixes)
            return np.array(list(map(float, rests)), dtype=np.float64)
        except ValueError:
            return None


@dataclass(slots=True)
class _Reading:
    """One exposition while it is read line by line; samples in no particular order."""

    ids: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    places: list[int] = field(default_factory=list)  # line numbers of samples
    metadata: list[int] = field(default_factory=list)  # and of comments and empty lines
    is_regular: bool = True  # every line was understood, and every sample ends in its value
    dropped: int = 0
    rejected: int = 0
    full_reads: int = 0


class Parser:
    """Parses the expositions of one target, and remembers how they look.

    ``series`` only grows. When it is full of series that are no longer told, everything is
    forgotten and ``epoch`` counts up, so that a target whose labels change for ever is bounded.
    """

    def __init__(self, max_series: int = MAX_SERIES) -> None:
        self.series: list[Series] = []
        self.epoch = 0
        self.rejected = 0  # lines that can't be read, so far
        self.dropped = 0  # samples beyond the limit, or of a series that came twice, so far
        self.last_rejection = ""
        self._max_series = max_series
        self._id_of: dict[Series, int] = {}
        self._known: dict[str, int] = {}  # how a line begins -> id
        self._layout: _Layout | None = None

    def parse(self, payload: bytes) -> Samples:
        """Raises MalformedData for what is no exposition at all: HTML, binary, nothing."""
        lines = _text(payload).split("\n")
        if self._layout is not None:
            values = self._layout.read(lines)
            if values is not None:
                return Samples(self._layout.ids, values)
            self._layout = None
        reading = self._read(lines)
        if reading.dropped and 2 * len(reading.ids) <= self._max_series:
            self._forget()
            reading = self._read(lines)
        self.dropped += reading.dropped
        self.rejected += reading.rejected
        if not reading.ids:
            raise MalformedData(f"none of its {len(lines)} lines is a sample: {lines[0][:60]!r}")
        return self._samples(lines, reading)

    def _read(self, lines: list[str]) -> _Reading:
        reading = _Reading()
        ids, places, texts = reading.ids, reading.places, list[str]()
        find, unknown = self._known.get, list[int]()
        last = len(lines) - 1
        for place, line in enumerate(lines):
            if line[:1] == "#" or not line:
                reading.metadata.append(place)
                continue
            if place == last:
                self._reject(reading, f"cut off, for it has no end: {line[:80]!r}")
                continue
            cut = line.rfind(" ") + 1
            known = find(line[:cut])
            if known is None:
                unknown.append(place)
            elif known == _DROPPED:
                reading.dropped += 1
            else:
                ids.append(known)
                places.append(place)
                texts.append(line[cut:])
        self._convert(texts, reading)
        for place in unknown:
            self._read_anew(lines, place, reading)
        return reading

    def _convert(self, texts: list[str], reading: _Reading) -> None:
        """The numbers of known lines, all at once unless one of them is none."""
        try:
            if "_" in "".join(texts):
                raise ValueError("Python's own spelling of a number")
            reading.values = list(map(float, texts))
        except ValueError:
            found = list(zip(reading.ids, reading.places, texts, strict=True))
            reading.ids, reading.places = [], []
            for known, place, text in found:
                try:
                    reading.values.append(number(text))
                except ValueError as error:
                    self._reject(reading, f"{error}: {text[:80]!r}")
                else:
                    reading.ids.append(known)
                    reading.places.append(place)

    def _read_anew(self, lines: list[str], place: int, reading: _Reading) -> None:
        """A line that has something behind its value, or was never met, or is none."""
        line = lines[place]
        if line.isspace():
            reading.metadata.append(place)
            return
        try:
            prefix, known, value = self._take_anew(line, reading)
        except ValueError as error:
            self._reject(reading, f"{error}: {line[:80]!r}")
            return
        reading.is_regular &= line.rfind(" ") + 1 == len(prefix)
        if known == _DROPPED:
            reading.dropped += 1
            return
        reading.ids.append(known)
        reading.values.append(value)
        reading.places.append(place)

    def _take_anew(self, line: str, reading: _Reading) -> tuple[str, int, float]:
        """(how it begins, id, value). Raises ValueError for what is no sample line."""
        for end in ("} ", " "):
            prefix = line[: line.find(end) + len(end)]
            known = self._known.get(prefix)
            if known is None:
                continue
            try:
                value, _ = read_value(line[len(prefix) :])
            except ValueError:
                continue  # labels may stand behind a space
            return prefix, known, value
        if reading.full_reads >= self._max_series:
            return "", _DROPPED, 0.0
        reading.full_reads += 1
        sample = read_sample(line.strip())
        known = self._id(sample.series)
        if len(self._known) < 2 * self._max_series:
            self._known[sample.prefix] = known
        return sample.prefix, known, sample.value

    def _id(self, series: Series) -> int:
        known = self._id_of.get(series)
        if known is None:
            if len(self.series) >= self._max_series:
                return _DROPPED
            known = self._id_of[series] = len(self.series)
            self.series.append(series)
        return known

    def _samples(self, lines: list[str], reading: _Reading) -> Samples:
        ids = np.array(reading.ids, dtype=np.int64)
        values = np.array(reading.values, dtype=np.float64)
        _, first = np.unique(ids, return_index=True)
        if len(first) < len(ids):
            self.dropped += len(ids) - len(first)
            first.sort()
            return Samples(ids[first], values[first])
        if reading.is_regular and not reading.dropped:
            self._layout = _Layout(
                lines=len(lines),
                samples=_picker(reading.places),
                prefixes=tuple(_prefix(lines[place]) for place in reading.places),
                ids=ids,
                others=_picker(reading.metadata),
                metadata=_picker(reading.metadata)(lines),
            )
        return Samples(ids, values)

    def _reject(self, reading: _Reading, why: str) -> None:
        reading.rejected += 1
        reading.is_regular = False
        self.last_rejection = why

    def _forget(self) -> None:
        self.series, self._id_of, self._known = [], {}, {}
        self.epoch += 1


def _text(payload: bytes) -> str:
    start = payload[:512].lstrip()
    if not start:
        raise MalformedData("the exposition is empty")
    if start[:1] == b"<":
        raise MalformedData("HTML or XML instead of metrics")
    if b"\0" in payload:
        raise MalformedData("binary data instead of metrics")
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise MalformedData(f"not UTF-8 text: {error.reason} at byte {error.start}") from error


def _prefix(line: str) -> str:
    return line[: line.rfind(" ") + 1]


def _picker(places: list[int]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """Takes the lines at ``places``; always a tuple, which itemgetter alone is not."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda lines: tuple(lines[place] for place in places)
