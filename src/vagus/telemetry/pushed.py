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

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vagus.clock import Clock
from vagus.model import Histogram, Scrape, Sense, Subject
from vagus.model.signals import SIGNALS, Combine, Instrument
from vagus.telemetry.columns import grown
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


class Pushed:
    """Sources are rows of arrays; a target is what they add to."""

    def __init__(self, clock: Clock, rejections: Rejections) -> None:
        self._clock = clock
        self._rejections = rejections
        self._began = round(clock.now() * 1e9)
        self._targets: list[_Target] = []
        self._index: dict[tuple[Subject, str], int] = {}
        self._totals: Floats = np.zeros(64)  # by target
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
        self._targets[target].sources.append(row)
        self._many[subject] = self._many.get(subject, 0) + 1
        return row

    def _target(self, subject: Subject, signal: str) -> int:
        found = self._index.get((subject, signal))
        if found is None:
            found = self._index[subject, signal] = len(self._targets)
            self._targets.append(_Target(subject, signal))
            if found == len(self._totals):
                self._totals = grown(self._totals, 2 * found, 0.0)
        return found

    def is_told(self, subject: Subject, signal: str, besides: Hashable) -> bool:
        """Whether somebody else than ``besides`` told it lately."""
        found = self._index.get((subject, signal))
        if found is None:
            return False
        others = [s for s in self._targets[found].sources if s != self._rows.get(besides)]
        return bool(self._is_fresh(np.array(others, dtype=np.int64)).any())

    def targets(self, rows: Ints) -> tuple[int, ...]:
        """What ``rows`` add to, as :meth:`scrapes` wants it."""
        return tuple(np.unique(self._target_of[rows]).tolist())

    # --- in ---------------------------------------------------------------------------------------

    def gauges(self, rows: Ints, values: Floats, times: Ints) -> None:
        """What was said of how things stand; shapes (n,), times in ns."""
        good = np.isfinite(values)
        self._refuse(Rejected.NOT_FINITE, ~good)
        rows, values, times = rows[good], values[good], times[good]
        new, _ = self._is_new(rows, times)
        rows = rows[new]
        self._value[rows], self._time[rows] = values[new], times[new]
        self._hear(rows)

    def totals(self, rows: Ints, values: Floats, times: Ints, starts: Ints) -> None:
        """Counters as they stand since ``starts``."""
        good = np.isfinite(values) & (values >= 0)
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
        good = np.isfinite(values) & (values >= 0)
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

    def _lay(self, row: int, more: Floats | Ints) -> None:
        target = self._targets[self._target_of[row]]
        target.counts = (0.0 if target.counts is None else target.counts) + more.astype(np.float64)

    def _add(self, rows: Ints, amounts: Floats) -> None:
        np.add.at(self._totals, self._target_of[rows], amounts)

    # --- out --------------------------------------------------------------------------------------

    def scrapes(self, targets: Iterable[int]) -> list[Scrape]:
        """How ``targets`` stand now, subject by subject."""
        touched: dict[Subject, dict[str, int]] = {}
        for index in targets:
            target = self._targets[index]
            touched.setdefault(target.subject, {})[target.signal] = index
        now, found = self._clock.now(), []
        for subject, by_name in touched.items():
            told = {name: self._targets[index].counts for name, index in by_name.items()}
            histograms = {
                name: Histogram(GRID_BOUNDS, tuple(counts.tolist()))
                for name, counts in told.items()
                if counts is not None
            }
            values = {n: self._stands(i) for n, i in by_name.items() if n not in histograms}
            if first := self._first(by_name[name] for name in histograms):
                found.append(Scrape(subject, now - 1e-3, sense=Sense.PUSH, histograms=first))
            found.append(
                Scrape(subject, now, values=values, sense=Sense.PUSH, histograms=histograms)
            )
        return found

    def _first(self, targets: Iterable[int]) -> dict[str, Histogram]:
        """What counts is what was added since a first reading: of what is told for the first time
        that reading is nothing."""
        fresh = [t for t in map(self._targets.__getitem__, targets) if t.is_new]
        for target in fresh:
            target.is_new = False
        return {t.signal: Histogram(GRID_BOUNDS, (0.0,) * GRID.count) for t in fresh}

    def _stands(self, index: int) -> float:
        target = self._targets[index]
        signal = SIGNALS[target.signal]
        if signal.instrument is not Instrument.GAUGE:
            return float(self._totals[index])
        rows = np.array(target.sources, dtype=np.int64)
        values = self._value[rows[self._is_fresh(rows)]]
        if not len(values):
            return float("nan")
        if signal.combine is Combine.SUM:
            return float(values.sum())
        return float(values.max() if signal.combine is Combine.MAX else values.mean())

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
