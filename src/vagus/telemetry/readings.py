"""Where every gauge and counter stands: readings in, one value a tick out.

Readings are gathered as they come and taken in together, a column at a time, so that a scrape costs
a few list appends. The rules are those of Prometheus: a counter that went down was reset and has
grown from zero since. A reading that is not newer than the last one is refused, unless the clock
evidently jumped back: then counting begins anew from there, instead of standing still until the
clock has caught up with itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vagus.model.series import Floats
from vagus.telemetry.columns import grown
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.sketch import Ints

HOLD_TICKS = 1  # a value stands in for this many ticks without a reading
JUMP_BACK_S = 2.0  # older by more than this is a clock that was set, not a late reading

_NEVER = -1_000_000


class Readings:
    """Arrays with one element for each row of the store."""

    def __init__(self, capacity: int, rejections: Rejections) -> None:
        self._rejections = rejections
        self._tick = 0
        self._is_counter: NDArray[np.bool_] = np.zeros(capacity, dtype=np.bool_)
        self._value: Floats = np.full(capacity, np.nan)  # the latest reading
        self._at: Floats = np.full(capacity, -np.inf)  # and its time
        self._told_at: Floats = np.full(capacity, -np.inf)  # the reading that the last rate ends at
        self._increase: Floats = np.zeros(capacity)  # since then
        self._rate: Floats = np.full(capacity, np.nan)
        self._seen: Floats = np.full(capacity, float(_NEVER))  # tick of the latest value or rate
        self._rows: list[int] = []
        self._values: list[float] = []
        self._times: list[float] = []
        self._pending: set[tuple[int, ...]] = set()

    def grow(self, capacity: int) -> None:
        if capacity == len(self._value):
            return
        self.settle()
        more = np.zeros(capacity - len(self._is_counter), dtype=np.bool_)
        self._is_counter = np.concatenate([self._is_counter, more])
        self._value = grown(self._value, capacity, np.nan)
        self._at = grown(self._at, capacity, -np.inf)
        self._told_at = grown(self._told_at, capacity, -np.inf)
        self._increase = grown(self._increase, capacity, 0.0)
        self._rate = grown(self._rate, capacity, np.nan)
        self._seen = grown(self._seen, capacity, float(_NEVER))

    def begin(self, row: int, *, counter: bool) -> None:
        """``row`` is another series from now on."""
        self._is_counter[row] = counter
        self._value[row] = self._rate[row] = np.nan
        self._at[row] = self._told_at[row] = -np.inf
        self._increase[row] = 0.0
        self._seen[row] = _NEVER

    def put(self, rows: tuple[int, ...], values: Sequence[float], at: float) -> None:
        """One scrape: a value for each of ``rows``, which belong to one target."""
        if rows in self._pending:
            self.settle()
        self._pending.add(rows)
        self._rows.extend(rows)
        self._values.extend(values)
        self._times.extend([at] * len(rows))

    def settle(self) -> None:
        """Take in what was put."""
        if not self._rows:
            return
        rows = np.array(self._rows, dtype=np.int64)
        values = np.array(self._values, dtype=np.float64)
        times = np.array(self._times, dtype=np.float64)
        self._rows, self._values, self._times = [], [], []
        self._pending.clear()
        # Differences of what is not finite, or nearly not: they are looked at, and mean nothing.
        with np.errstate(invalid="ignore", over="ignore"):
            rows, values, times = self._acceptable(rows, values, times)
            counting = self._is_counter[rows]
            self._count(rows[counting], values[counting], times[counting])
        self._value[rows] = values
        self._at[rows] = times
        self._seen[rows[~counting]] = self._tick

    def _acceptable(self, rows: Ints, values: Floats, times: Floats) -> tuple[Ints, Floats, Floats]:
        """Without what is no number and what is not new."""
        finite = np.isfinite(values) & np.isfinite(times)
        behind = self._at[rows] - times
        late = finite & (behind >= 0) & (behind <= JUMP_BACK_S)
        for what, reason in ((~finite, Rejected.NOT_FINITE), (late, Rejected.OUT_OF_ORDER)):
            if what.any():
                self._rejections.count(reason, "readings", "", int(what.sum()))
        good = finite & ~late
        return rows[good], values[good], times[good]

    def _count(self, rows: Ints, values: Floats, times: Floats) -> None:
        grew = values - self._value[rows]
        reset = grew < 0
        grew = np.where(reset, values, grew)
        anew = times <= self._at[rows]  # the clock was set back
        for what, reason in ((reset, Rejected.COUNTER_RESET), (anew, Rejected.CLOCK_JUMPED)):
            if what.any():
                self._rejections.count(reason, "readings", "", int(what.sum()))
        anew |= np.isnan(self._value[rows])
        self._increase[rows] = np.where(anew, 0.0, self._increase[rows] + grew)
        self._told_at[rows] = np.where(anew, times, self._told_at[rows])

    def tick(self) -> Floats:
        """Close the tick: the value of each gauge, the rate of each counter, NaN if unknown."""
        self.settle()
        due = self._is_counter & (self._at > self._told_at)
        self._rate[due] = self._increase[due] / (self._at[due] - self._told_at[due])
        self._told_at[due] = self._at[due]
        self._increase[due] = 0.0
        self._seen[due] = self._tick
        known = np.where(self._is_counter, self._rate, self._value)
        values: Floats = np.where(self._tick - self._seen <= HOLD_TICKS, known, np.nan)
        self._tick += 1
        return values
