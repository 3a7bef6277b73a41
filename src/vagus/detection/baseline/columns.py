"""State as columns: one array per quantity, one place per series.

A tick touches each quantity of all series in a row, which is what memory is fast at; a season is
stored slot by slot, so that a tick reads one row of it. A state is a ``NamedTuple`` of arrays, and
beside it a table says what they look like: making, growing, shrinking and saving are written once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
State = TypeVar("State", bound=tuple[Any, ...])


@dataclass(frozen=True)
class Column:
    """One quantity: its type, its axes before and after that of the series, its first value."""

    dtype: type[np.generic] = np.float32
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    fill: float = 0.0

    def make(self, series: int) -> Array:
        return np.full((*self.before, series, *self.after), self.fill, dtype=self.dtype)

    @property
    def axis(self) -> int:
        return len(self.before)


Layout = Mapping[str, Column]


class Ticked(NamedTuple):
    """What is true of a whole tick: how far between which slots of day and week it lies."""

    at: float
    seconds: float
    day_0: int
    day_1: int
    day_part: float
    week_0: int
    week_1: int
    week_part: float


def fresh(kind: type[State], layout: Layout, series: int) -> State:
    return kind(*(column.make(series) for column in layout.values()))


def grown(state: State, layout: Layout, series: int) -> State:
    """With ``series`` more at the end."""
    arrays = (
        np.concatenate([array, column.make(series)], axis=column.axis)
        for array, column in zip(state, layout.values(), strict=True)
    )
    return type(state)(*arrays)


def kept(state: State, layout: Layout, which: NDArray[np.bool_]) -> State:
    """Only those where ``which``."""
    arrays = (
        np.ascontiguousarray(np.compress(which, array, axis=column.axis))
        for array, column in zip(state, layout.values(), strict=True)
    )
    return type(state)(*arrays)


def forget(state: State, layout: Layout, row: int) -> None:
    """As if the series had never been seen."""
    for array, column in zip(state, layout.values(), strict=True):
        array[(slice(None),) * column.axis + (row,)] = column.fill


def size(state: tuple[Array, ...]) -> int:
    """Bytes of all arrays."""
    return sum(array.nbytes for array in state)
