"""Rows for series and a ring of ticks: the memory under the store.

A tick is one contiguous row of the ring, so that closing it, and whatever looks at all series at
once, touches memory in order; one series over time is a stride through it, which only people look
at. Series come and go with replicas: a row that is given up is wiped and used again, and the arrays
grow by doubling, so a fleet that grows one by one costs no more than one that was there.
"""

from __future__ import annotations

import numpy as np

from vagus.model.series import Floats, Series, SeriesKey

_FIRST_CAPACITY = 64


class Columns:
    """The last ``ticks`` values of each series."""

    def __init__(self, ticks: int) -> None:
        self.ticks = ticks
        self.capacity = _FIRST_CAPACITY
        self._rows: dict[SeriesKey, int] = {}
        self._free: list[int] = []
        self._ring: Floats = np.full((ticks, self.capacity), np.nan)
        self._head = 0  # the ring's row of the next tick
        self._series: Series | None = None

    @property
    def series(self) -> Series:
        if self._series is None:
            keys: list[SeriesKey | None] = [None] * (len(self._rows) + len(self._free))
            for key, row in self._rows.items():
                keys[row] = key
            self._series = tuple(keys)
        return self._series

    def __len__(self) -> int:
        """Series that have a row."""
        return len(self._rows)

    def row(self, key: SeriesKey) -> int | None:
        return self._rows.get(key)

    def add(self, key: SeriesKey) -> int:
        """A row for a series that has none; the arrays beside the ring have to follow
        ``capacity`` afterwards."""
        row = self._free.pop() if self._free else len(self._rows)
        if row >= self.capacity:
            self._ring = grown(self._ring, 2 * self.capacity, np.nan)
            self.capacity *= 2
        self._rows[key] = row
        self._series = None
        return row

    def remove(self, key: SeriesKey) -> int:
        """Give up the row of ``key``; its past is wiped."""
        row = self._rows.pop(key)
        self._free.append(row)
        self._ring[:, row] = np.nan
        self._series = None
        return row

    def write(self, values: Floats) -> None:
        """One more tick; ``values`` has the shape (capacity,)."""
        self._ring[self._head] = values
        self._head = (self._head + 1) % self.ticks

    def last(self, row: int, ticks: int) -> Floats:
        """The last ``ticks`` values of one row, oldest first."""
        wanted = np.arange(self._head - min(ticks, self.ticks), self._head)
        values: Floats = self._ring[wanted % self.ticks, row]
        return values


def grown(array: Floats, size: int, fill: float) -> Floats:
    """``array`` with its last axis ``size`` long, the new part filled."""
    more = np.full((*array.shape[:-1], size - array.shape[-1]), fill, dtype=array.dtype)
    return np.concatenate([array, more], axis=-1)
