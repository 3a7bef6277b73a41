"""Prometheus's text format, fast.

A target tells the same series at every scrape, so nearly every line begins as it did last time and
ends in another number. The parser remembers each beginning (name and labels) and where it belongs;
then a line costs one search for its last space, one look-up and one conversion. A line that is not
known, has a timestamp or an exemplar goes through the full parser, once if it can be remembered.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/ (text 0.0.4) and OpenMetrics
1.0. Metadata lines (``# HELP``, ``# TYPE``) are passed over: what a number means is said by the
dialect. Values are float64; a line that can't be read is counted and named, and spoils no other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vagus.errors import MalformedData

MAX_SERIES = 20_000  # kept per target; what comes beyond is counted, never kept

Labels = tuple[tuple[str, str], ...]

_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(rb'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|(?=\}))')
_ESCAPE = re.compile(rb"\\(.)")
_ESCAPED = {b"n": b"\n", b"\\": b"\\", b'"': b'"'}
_HASH = ord("#")
_METADATA = -1  # in place of a series' id: a line to pass over


@dataclass(frozen=True, slots=True)
class Series:
    """A name with its labels, sorted."""

    name: str
    labels: Labels = ()


@dataclass(frozen=True, slots=True)
class Samples:
    """One exposition: ``values[i]`` belongs to ``series[ids[i]]`` of the parser. Shapes (n,)."""

    ids: NDArray[np.int64]
    values: NDArray[np.float64]


@dataclass
class Parser:
    """Parses one target's expositions; one parser per target, since it remembers its lines."""

    max_series: int = MAX_SERIES
    series: list[Series] = field(default_factory=list)
    rejected: int = 0  # lines that could not be read, so far
    dropped: int = 0  # samples of series beyond the limit, so far
    last_rejection: str = ""
    _known: dict[bytes, int] = field(default_factory=dict)  # beginning of a line -> id
    _ids: dict[Series, int] = field(default_factory=dict)

    def parse(self, payload: bytes) -> Samples:
        """Raises MalformedData for what is no exposition at all (HTML, binary)."""
        refuse_what_is_no_text(payload)
        known = self._known
        ids: list[int] = []
        texts: list[bytes] = []
        for line in payload.split(b"\n"):
            cut = line.rfind(b" ")
            found = known.get(line[:cut])
            if found is None:
                self._read_anew(line, ids, texts)
            elif found >= 0:
                ids.append(found)
                texts.append(line[cut + 1 :])
        return Samples(np.array(ids, dtype=np.int64), self._numbers(ids, texts))

    def _numbers(self, ids: list[int], texts: list[bytes]) -> NDArray[np.float64]:
        try:
            return np.array(list(map(float, texts)), dtype=np.float64)
        except ValueError:
            values = []
            for at in range(len(texts) - 1, -1, -1):
                try:
                    values.append(float(texts[at]))
                except ValueError:
                    self._reject(texts[at])
                    del ids[at]
            return np.array(values[::-1], dtype=np.float64)

    def _read_anew(self, line: bytes, ids: list[int], texts: list[bytes]) -> None:
        stripped = line.strip()
        if not stripped or stripped[0] == _HASH:
            self._remember(line, _METADATA)
            return
        try:
            series, value, rest = split_line(stripped)
            float(value)
        except ValueError:
            self._reject(stripped)
            return
        number = self._ids.get(series)
        if number is None:
            if len(self.series) >= self.max_series:
                self.dropped += 1
                return
            number = self._ids[series] = len(self.series)
            self.series.append(series)
        # Only a line that ends in its value can be known by its beginning; with a timestamp, the
        # beginning would hold the value. Two spellings of one series are two beginnings.
        if not rest:
            self._remember(line, number)
        ids.append(number)
        texts.append(value)

    def _remember(self, line: bytes, number: int) -> None:
        cut = line.rfind(b" ")
        if cut > 0 and len(self._known) < 4 * self.max_series:
            self._known[line[:cut]] = number

    def _reject(self, line: bytes) -> None:
        self.rejected += 1
        self.last_rejection = line[:80].decode("utf-8", "replace")


def refuse_what_is_no_text(payload: bytes) -> None:
    """Raises MalformedData if ``payload`` is evidently something else."""
    start = payload[:512].lstrip()
    if start[:1] == b"<":
        raise MalformedData("answers HTML or XML instead of metrics")
    if b"\x00" in start:
        raise MalformedData("answers binary data instead of metrics")


def split_line(line: bytes) -> tuple[Series, bytes, bytes]:
    """A sample line -> (series, value, what follows the value: timestamp, exemplar).

    Raises ValueError for a line that is not one.
    """
    name = _NAME.match(line)
    if name is None:
        raise ValueError("no metric name")
    at = name.end()
    labels: list[tuple[str, str]] = []
    if line[at : at + 1] == b"{":
        at += 1
        while (found := _LABEL.match(line, at)) is not None:
            labels.append((found[1].decode(), _unescaped(found[2])))
            at = found.end()
        at = _after_brace(line, at)
    tokens = line[at:].split(None, 1)
    if not tokens or (at == name.end() and line[at : at + 1] not in (b" ", b"\t")):
        raise ValueError("no value")
    rest = tokens[1].strip() if len(tokens) > 1 else b""
    return Series(name[0].decode(), tuple(sorted(labels))), tokens[0], rest


def _after_brace(line: bytes, at: int) -> int:
    while line[at : at + 1] in (b" ", b","):
        at += 1
    if line[at : at + 1] != b"}":
        raise ValueError("labels don't end")
    return at + 1


def _unescaped(value: bytes) -> str:
    if b"\\" in value:
        value = _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[0]), value)
    return value.decode("utf-8", "replace")
