"""What is pushed, added up: many senders, one series.

Several processes may speak for one component (workers of a server, pods behind one name), each
with counters of its own that begin anew with it; some send what was added, some send totals; spans
are single events. So nothing that is pushed is taken as it stands. Of each sender's series it is
worked out what was *added*, and that goes into totals of ours, one for each signal of a subject.
Those only grow, whatever becomes of the senders, and are handed on like any other counter. A gauge
is put together of what all senders said lately.

Distributions are added up in log buckets of their own scale, an eighth of an octave: what is sent
is coarser.

Times are the sender's clock and only compared with each other: whether a point is new, and whether
it belongs to a new life of its series.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vagus.clock import Clock
from vagus.model import Histogram, Scrape, Sense, Subject
from vagus.model.signals import SIGNALS, Combine, Instrument
from vagus.telemetry.columns import grown
from vagus.telemetry.histograms import MAX_COUNT
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.sketch import Buckets, Floats, Ints, laid_out

MAX_SOURCES = 4096  # series of senders, of one subject
MAX_ALL = 200_000  # of all of them
FORGET_AFTER = 600.0  # s after which a sender that says nothing may be forgotten
SWEEP_EVERY = 60.0  # s between two looks for those
FRESH = 120.0  # s that a gauge counts for
SET_BACK = 60_000_000_000  # ns by which a sender's clock may be late; more is a clock that was set

GRID = Buckets(scale=3, lowest=-16, highest=12)
GRID_BOUNDS = tuple(GRID.bounds.tolist())

Bools = NDArray[np.bool_]


@dataclass(slots=True)
class _Target:
    """One signal of one subject."""

    subject: Subject
    signal: str
    sources: list[int] = field(default_factory=list)
    counts: Floats | None = None  # of a distribution, in GRID
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """Signals of one subject that are told together."""

    subject: Subject
    names: tuple[str, ...]  # of what is a number
    targets: Ints  # theirs
    gauges: tuple[int, ...]  # among them
    distributions: tuple[int, ...]


class Pushed:
    """Sources are rows of arrays; a target is what they add to."""

    def __init__(self, clock: Clock, rejections: Rejections) -> None:
        self._clock = clock
        self._rejections = rejections
        self._began = round(clock.now() * 1e9)
        self._targets: list[_Target] = []
        self._index: dict[tuple[Subject, str], int] = {}
        self._totals: Floats = np.zeros(64)  # by target; of a gauge, what was said last
        self._shared: set[int] = set()  # gauges that several senders tell
        self._rows: dict[Hashable, int] = {}
        self._used = 0
        self._target_of: Ints = np.zeros(64, dtype=np.int64)
        self._free: list[int] = []
        self._many: dict[Subject, int] = {}  # sources of each subject
        self._buckets: dict[int, tuple[tuple[float, ...], Floats]] = {}  # a source's last counts
        self._value: Floats = np.zeros(64)
        self._time: Ints = np.zeros(64, dtype=np.int64)
        self._start: Ints = np.zeros(64, dtype=np.int64)
        self._seen: Floats = np.full(64, -np.inf)  # monotonic
        self._known: Bools = np.zeros(64, dtype=np.bool_)  # there is a point before
        self._swept = -np.inf
        self.epoch = 0  # counts up when rows are given to others

    def row(self, key: Hashable, subject: Subject, signal: str) -> int | None:
        """The row of a sender's series; None for one too many."""
        found = self._rows.get(key)
        if found is not None:
            return found
        full = self._many.get(subject, 0) >= MAX_SOURCES or len(self._rows) >= MAX_ALL
        if full and not self._forget_old():
            self._rejections.count(Rejected.TOO_MANY_SERIES, str(subject), "too many are pushed")
            return None
        target = self._target(subject, signal)
        row = self._free.pop() if self._free else self._used
        self._used = max(self._used, row + 1)
        if row == len(self._value):
            self._grow(2 * row)
        self._target_of[row] = target
        self._seen[row] = self._clock.monotonic()
        self._known[row] = False
        self._rows[key] = row
        sources = self._targets[target].sources
        sources.append(row)
        if len(sources) > 1 and SIGNALS[signal].instrument is Instrument.GAUGE:
            self._shared.add(target)
        self._many[subject] = self._many.get(subject, 0) + 1
        return row

    def _target(self, subject: Subject, signal: str) -> int:
        found = self._index.get((subject, signal))
        if found is None:
            found = self._index[subject, signal] = len(self._targets)
            self._targets.append(_Target(subject, signal))
            if found == len(self._totals):
                self._totals = grown(self._totals, 2 * found, 0.0)
            if SIGNALS[signal].instrument is Instrument.GAUGE:
                self._totals[found] = np.nan
        return found

    def is_told(self, subject: Subject, signal: str, besides: Hashable) -> bool:
        """Whether somebody else than ``besides`` told it lately."""
        found = self._index.get((subject, signal))
        if found is None:
            return False
        others = [s for s in self._targets[found].sources if s != self._rows.get(besides)]
        return bool(self._is_fresh(np.array(others, dtype=np.int64)).any())

    def told(self, rows: Ints) -> tuple[Told, ...]:
        """What ``rows`` add to, subject by subject, as :meth:`scrapes` wants it."""
        by_subject: dict[Subject, list[int]] = {}
        for index in np.unique(self._target_of[rows]).tolist():
            by_subject.setdefault(self._targets[index].subject, []).append(index)
        return tuple(self._told(subject, found) for subject, found in by_subject.items())

    def _told(self, subject: Subject, targets: list[int]) -> Told:
        kind = {t: SIGNALS[self._targets[t].signal].instrument for t in targets}
        values = [t for t in targets if kind[t] is not Instrument.DISTRIBUTION]
        return Told(
            subject,
            tuple(self._targets[t].signal for t in values),
            np.array(values, dtype=np.int64),
            tuple(t for t in values if kind[t] is Instrument.GAUGE),
            tuple(t for t in targets if kind[t] is Instrument.DISTRIBUTION),
        )

    # --- in ---------------------------------------------------------------------------------------

    def gauges(self, rows: Ints, values: Floats, times: Ints) -> None:
        """What was said of how things stand; shapes (n,), times in ns."""
        new, _ = self._is_new(rows, times)
        rows, values, times = rows[new], values[new], times[new]
        bad = ~np.isfinite(values)
        self._refuse(Rejected.NOT_FINITE, bad)
        values = np.where(bad, np.nan, values)
        self._value[rows], self._time[rows] = values, times
        self._totals[self._target_of[rows]] = values
        self._hear(rows)
        self._known[rows] = ~bad

    def totals(self, rows: Ints, values: Floats, times: Ints, starts: Ints) -> None:
        """Counters as they stand since ``starts``."""
        good = (values >= 0) & (values <= MAX_COUNT)
        self._refuse(Rejected.NOT_FINITE, ~good)
        rows, values, times, starts = rows[good], values[good], times[good], starts[good]
        new, jumped = self._is_new(rows, times)
        rows, values, times, starts = rows[new], values[new], times[new], starts[new]
        lives, counting = self._lives(rows, starts, jumped[new])
        added = np.where(lives, values, values - self._value[rows])
        added[~counting] = 0.0
        reset = added < 0
        self._refuse(Rejected.COUNTER_RESET, reset)
        self._value[rows], self._time[rows], self._start[rows] = values, times, starts
        self._hear(rows)
        self._add(rows, np.where(reset, values, added))

    def added(self, rows: Ints, values: Floats) -> None:
        """What was added since the last time."""
        good = (values >= 0) & (values <= MAX_COUNT)
        self._refuse(Rejected.NOT_FINITE, ~good)
        self._hear(rows[good])
        self._add(rows[good], values[good])

    def bucket_totals(
        self,
        rows: Ints,
        bounds: tuple[float, ...],
        counts: Floats,
        times: Ints,
        starts: Ints,
        scale: float,
    ) -> None:
        """Histograms as they stand; ``counts`` has the shape (n, bounds + 1)."""
        good = self._countable(counts)
        rows, counts, times, starts = rows[good], counts[good], times[good], starts[good]
        new, jumped = self._is_new(rows, times)
        rows, counts, times, starts = rows[new], counts[new], times[new], starts[new]
        lives, counting = self._lives(rows, starts, jumped[new])
        added = counts.copy()
        for index, row in enumerate(rows.tolist()):
            known = self._buckets.get(row)
            if not counting[index]:
                added[index] = 0.0
            elif known is not None and known[0] != bounds:
                self._rejections.count(Rejected.BUCKETS_CHANGED, self._place(row), "begins anew")
                added[index] = 0.0
            elif known is not None and not lives[index]:
                added[index] -= known[1]
                if (added[index] < 0).any():
                    place = self._place(row)
                    self._rejections.count(Rejected.COUNTER_RESET, place, "counted from zero")
                    added[index] = counts[index]
            self._buckets[row] = (bounds, counts[index])
        self._time[rows], self._start[rows] = times, starts
        self.bucket_added(rows, bounds, added, scale)

    def bucket_added(
        self, rows: Ints, bounds: tuple[float, ...], counts: Floats, scale: float
    ) -> None:
        """What was added to histograms since the last time."""
        good = self._countable(counts)
        rows, counts = rows[good], counts[good]
        laid = laid_out(tuple(bound * scale for bound in bounds), counts, GRID)
        self._hear(rows)
        for row, more in zip(rows.tolist(), laid, strict=True):
            self._lay(row, more)

    def seen(self, row: int, value: float) -> None:
        """One event of a distribution."""
        self.grid_added(row, GRID.index(np.array([value])), np.ones(1))

    def grid_added(self, row: int, buckets: Ints, counts: Floats) -> None:
        """What was added in buckets of GRID."""
        more = np.bincount(buckets, weights=counts, minlength=GRID.count)
        self._hear(np.array([row]))
        self._lay(row, more)

    def _countable(self, counts: Floats) -> Bools:
        good: Bools = np.asarray((counts <= MAX_COUNT).all(axis=1))
        self._refuse(Rejected.NOT_FINITE, ~good)
        return good

    def _lay(self, row: int, more: Floats | Ints) -> None:
        target = self._targets[self._target_of[row]]
        target.counts = (0.0 if target.counts is None else target.counts) + more.astype(np.float64)

    def _add(self, rows: Ints, amounts: Floats) -> None:
        np.add.at(self._totals, self._target_of[rows], amounts)

    # --- out --------------------------------------------------------------------------------------

    def scrapes(self, told: Iterable[Told]) -> list[Scrape]:
        """How the signals of ``told`` stand now."""
        now, found = self._clock.now(), []
        for one in told:
            if self._shared:
                for target in self._shared.intersection(one.gauges):
                    self._totals[target] = self._together(self._targets[target])
            values = self._totals[one.targets].tolist()
            by_name = dict(zip(one.names, values, strict=True))
            if math.isnan(sum(values)):
                by_name = {name: value for name, value in by_name.items() if value == value}
            histograms, first = self._histograms(one.distributions)
            if first:
                found.append(Scrape(one.subject, now - 1e-3, sense=Sense.PUSH, histograms=first))
            if by_name or histograms:
                found.append(
                    Scrape(
                        one.subject,
                        now,
                        values=by_name,
                        sense=Sense.PUSH,
                        histograms=histograms,
                    )
                )
        return found

    def _histograms(
        self, targets: Iterable[int]
    ) -> tuple[dict[str, Histogram], dict[str, Histogram]]:
        """(as they stand, what has to be told before). What counts is what was added since a first
        reading, so of what is told for the first time that reading is nothing."""
        found: dict[str, Histogram] = {}
        first: dict[str, Histogram] = {}
        for target in map(self._targets.__getitem__, targets):
            if target.counts is None:
                continue
            found[target.signal] = Histogram(GRID_BOUNDS, tuple(target.counts.tolist()))
            if target.is_new:
                first[target.signal] = Histogram(GRID_BOUNDS, (0.0,) * GRID.count)
                target.is_new = False
        return found, first

    def _together(self, target: _Target) -> float:
        """What several senders said lately of one gauge; NaN if nobody did."""
        rows = np.array(target.sources, dtype=np.int64)
        values = self._value[rows[self._is_fresh(rows)]]
        if not len(values):
            return float("nan")
        combine = SIGNALS[target.signal].combine
        if combine is Combine.SUM:
            return float(values.sum())
        return float(values.max() if combine is Combine.MAX else values.mean())

    # --- of a sender's series ---------------------------------------------------------------------

    def _is_new(self, rows: Ints, times: Ints) -> tuple[Bools, Bools]:
        """(not a point that was there before, of a clock that was set back meanwhile)."""
        known = self._known[rows]
        behind = np.where(known, self._time[rows] - times, -1)
        jumped = behind > SET_BACK
        self._refuse(Rejected.CLOCK_JUMPED, jumped)
        late = (behind >= 0) & ~jumped
        self._refuse(Rejected.OUT_OF_ORDER, late)
        return ~late, jumped

    def _lives(self, rows: Ints, starts: Ints, jumped: Bools) -> tuple[Bools, Bools]:
        """(the sender began anew since its last point, it is known what was added).

        Known it is from a point before, and of a sender that began after we did.
        """
        known = self._known[rows]
        anew = ~known | (starts > self._start[rows])
        return anew, (known & ~jumped) | (~known & (starts >= self._began))

    def _hear(self, rows: Ints) -> None:
        self._seen[rows] = self._clock.monotonic()
        self._known[rows] = True

    def _is_fresh(self, rows: Ints) -> Bools:
        fresh: Bools = self._known[rows] & (self._clock.monotonic() - self._seen[rows] <= FRESH)
        return fresh

    def _refuse(self, reason: Rejected, which: Bools) -> None:
        if which.any():
            self._rejections.count(reason, "pushed", "", int(which.sum()))

    def _place(self, row: int) -> str:
        target = self._targets[self._target_of[row]]
        return f"{target.subject} {target.signal}"

    def _forget_old(self) -> bool:
        """Free the rows of senders that have said nothing for long; whether there were any."""
        now = self._clock.monotonic()
        if now - self._swept < SWEEP_EVERY:
            return False
        self._swept, before = now, now - FORGET_AFTER
        gone = {key: row for key, row in self._rows.items() if self._seen[row] < before}
        for key, row in gone.items():
            target = self._targets[self._target_of[row]]
            target.sources.remove(row)
            self._many[target.subject] -= 1
            self._buckets.pop(row, None)
            self._free.append(row)
            del self._rows[key]
        self.epoch += bool(gone)
        return bool(gone)

    def _grow(self, size: int) -> None:
        self._value = grown(self._value, size, 0.0)
        self._seen = grown(self._seen, size, -np.inf)
        self._known = np.concatenate([self._known, np.zeros(size - len(self._known), np.bool_)])
        more = np.zeros(size - len(self._time), dtype=np.int64)
        self._target_of = np.concatenate([self._target_of, more])
        self._time = np.concatenate([self._time, more])
        self._start = np.concatenate([self._start, more])
