"""What was recorded, asked for by signal, subject and time.

A recording holds a value for every series and every tick; a person wants a figure a minute, and a
spreadsheet no more rows than it can hold. So values are gathered into spans of time as they are
read, and what is kept is the mean, the lowest and the highest of each span: an average alone would
hide the second that hurt. Of a counter a value is its rate over the tick, of a distribution the
median of the tick; so the ``highest`` of a latency is the worst median, not the worst request.

Segments never change once they are in place, so reading needs neither a running Vagus nor its
leave. What ``vagus learn`` fetched is read up to where our own recording begins, so that nothing
counts twice.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from vagus.errors import ConfigError, VagusError
from vagus.model.series import Floats, SeriesKey
from vagus.model.signals import SIGNALS, Instrument
from vagus.telemetry.history import Block, blocks
from vagus.telemetry.segments import first_began

LEARNED = "learned"  # the folder within, that vagus learn fills
MOST_ROWS = 1_000_000  # of an answer; more is a mistake in the asking, or a job for whole segments

_OF = {
    Instrument.GAUGE: "value",
    Instrument.COUNTER: "rate",
    Instrument.TALLY: "rate",
    Instrument.DISTRIBUTION: "median",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Patterns as a shell has them. No signals: all; no cohort: with and without."""

    since: float
    until: float
    every: float = 60.0  # s
    signals: tuple[str, ...] = ()
    subject: str = ""
    cohort: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One series in one span of time that begins ``at``."""

    at: float
    series: SeriesKey
    mean: float
    lowest: float
    highest: float
    samples: int


@dataclass(frozen=True, slots=True)
class Known:
    """A series that has values, and between when."""

    series: SeriesKey
    samples: int
    first_at: float
    last_at: float
    last: float


def unit_of(signal: str) -> str:
    """Of the recorded values: a counter's are per second. Empty for what is in no catalogue."""
    known = SIGNALS.get(signal)
    if known is None:
        return ""
    return f"{known.unit}/s" if _OF[known.instrument] == "rate" else known.unit


def kind_of(signal: str) -> str:
    """``value``, ``rate`` or ``median``: what a recorded value is of it."""
    known = SIGNALS.get(signal)
    return "value" if known is None else _OF[known.instrument]


def query(folder: Path, wanted: Wanted) -> Sequence[Row]:
    """By series, then by time. Raises VagusError: for a name that nothing was recorded of, with
    those that are nearest to it; for more than :data:`MOST_ROWS`; for what is no recording."""
    spans: dict[tuple[SeriesKey, int], _Span] = {}
    seen: set[SeriesKey] = set()
    for block, columns in _chosen(folder, wanted, seen):
        _gather(block, columns, wanted.every, spans)
        if len(spans) > MOST_ROWS:
            raise VagusError(
                f"that is more than {MOST_ROWS:,} rows", mend="ask for less, or a larger --every"
            )
    _refuse_unknown(wanted, seen)
    rows = (span.row(key, at * wanted.every) for (key, at), span in spans.items())
    return sorted(rows, key=lambda row: (*_order(row.series), row.at))


def known(folder: Path, wanted: Wanted) -> Sequence[Known]:
    """Which series have values, as far as ``wanted`` asks for them. Raises as :func:`query`."""
    found: dict[SeriesKey, Known] = {}
    seen: set[SeriesKey] = set()
    for block, columns in _chosen(folder, wanted, seen):
        has = ~np.isnan(block.values)
        for column in columns:
            at = np.flatnonzero(has[:, column])
            key = block.series[column]
            if key is None or not len(at):
                continue
            before = found.get(key)
            first_at = float(block.at[at[0]]) if before is None else before.first_at
            samples = len(at) + (0 if before is None else before.samples)
            last = float(block.values[at[-1], column])
            found[key] = Known(key, samples, first_at, float(block.at[at[-1]]), last)
    _refuse_unknown(wanted, seen)
    return sorted(found.values(), key=lambda series: _order(series.series))


@dataclass(slots=True)
class _Span:
    total: float
    samples: int
    lowest: float
    highest: float

    def row(self, key: SeriesKey, at: float) -> Row:
        mean = self.total / self.samples
        return Row(at, key, mean, self.lowest, self.highest, self.samples)

    def add(self, total: float, samples: int, lowest: float, highest: float) -> None:
        self.total += total
        self.samples += samples
        self.lowest = min(self.lowest, lowest)
        self.highest = max(self.highest, highest)


def _gather(
    block: Block, columns: Sequence[int], every: float, spans: dict[tuple[SeriesKey, int], _Span]
) -> None:
    """Whole runs of ticks at a time: those of one span follow each other."""
    values: Floats = block.values[:, columns]
    span = np.floor(block.at / every).astype(np.int64)
    begins = np.flatnonzero(np.diff(span, prepend=span[0] - 1))
    has = ~np.isnan(values)
    totals = np.add.reduceat(np.where(has, values, 0.0), begins, axis=0)
    samples = np.add.reduceat(has.astype(np.int64), begins, axis=0)
    lowest = np.fmin.reduceat(values, begins, axis=0)
    highest = np.fmax.reduceat(values, begins, axis=0)
    for run, column in np.argwhere(samples).tolist():
        key = block.series[columns[column]]
        assert key is not None  # only what has a series was chosen
        of = (
            float(totals[run, column]),
            int(samples[run, column]),
            float(lowest[run, column]),
            float(highest[run, column]),
        )
        place = (key, int(span[begins[run]]))
        if place in spans:
            spans[place].add(*of)
        else:
            spans[place] = _Span(*of)


def _chosen(
    folder: Path, wanted: Wanted, seen: set[SeriesKey]
) -> Iterator[tuple[Block, Sequence[int]]]:
    """Blocks, with which of their columns are asked for; all series go into ``seen``."""
    series, columns = None, list[int]()
    for block in _recorded(folder, wanted.since, wanted.until):
        if block.series is not series:
            series = block.series
            seen.update(key for key in series if key is not None)
            columns = [i for i, key in enumerate(series) if key is not None and _is(key, wanted)]
        if columns:
            yield block, columns


def _recorded(folder: Path, since: float, until: float) -> Iterator[Block]:
    began = first_began(folder)
    learned_until = until if began is None else min(until, np.nextafter(began, -np.inf))
    yield from blocks(folder / LEARNED, since, learned_until)
    yield from blocks(folder, since, until)


def _is(key: SeriesKey, wanted: Wanted) -> bool:
    return (
        (not wanted.signals or any(fnmatchcase(key.signal, name) for name in wanted.signals))
        and (not wanted.subject or fnmatchcase(str(key.subject), wanted.subject))
        and (not wanted.cohort or (key.cohort != "" and fnmatchcase(key.cohort, wanted.cohort)))
    )


def _order(key: SeriesKey) -> tuple[str, str, str, str]:
    return (key.signal, str(key.subject), key.sense.value, key.cohort)


def _refuse_unknown(wanted: Wanted, seen: Iterable[SeriesKey]) -> None:
    """Of what is asked for by name something has to be there, unless nothing was recorded."""
    keys = list(seen)
    asked: tuple[tuple[str, Sequence[str], Callable[[SeriesKey], str]], ...] = (
        ("signal", wanted.signals, lambda key: key.signal),
        ("subject", [wanted.subject] * bool(wanted.subject), lambda key: str(key.subject)),
        ("cohort", [wanted.cohort] * bool(wanted.cohort), lambda key: key.cohort),
    )
    for what, patterns, name_of in asked:
        there = sorted({name_of(key) for key in keys} - {""})
        for pattern in patterns:
            if there and not any(fnmatchcase(name, pattern) for name in there):
                raise ConfigError(
                    f"nothing was recorded of a {what} {pattern!r}",
                    mend=f"there is {_nearest(pattern, there)}; vagus query lists all",
                )


def _nearest(name: str, there: Sequence[str]) -> str:
    """Those that look like it, or have its last word; else what there is, if that is little."""
    last = name.strip("*").rpartition(".")[2]
    near = [n for n in there if last and last in n]
    near = near or difflib.get_close_matches(name, there, n=3, cutoff=0.4)
    shown = (near or there)[:4]
    return ", ".join(shown) + (", ..." if len(near or there) > len(shown) else "")
