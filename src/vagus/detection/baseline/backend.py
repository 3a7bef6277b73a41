"""Which form of the same computation runs: compiled where numba is installed, else plain numpy."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vagus.detection.baseline import absence, conformal, forecast, novelty, peers
from vagus.detection.baseline.columns import Ticked
from vagus.detection.baseline.conformal import Bools, Floats, Keys
from vagus.detection.baseline.tuning import Tuning
from vagus.errors import MissingExtra

Index = NDArray[np.int32]


class Tick(NamedTuple):
    """What a tick brings, for all series."""

    number: int
    now: Ticked
    values: Floats
    ok: Bools
    demand: Floats
    protect: Bools


class Traits(NamedTuple):
    """What was said of each series when it was added."""

    keys: Keys
    direction: NDArray[np.int8]
    floor: NDArray[np.float32]
    least: NDArray[np.float32]
    group: Index


class Grouping(NamedTuple):
    """Members of groups, one group after the other, and where each begins (and the last ends)."""

    order: Index
    starts: Index


class Out(NamedTuple):
    """Columns that a tick fills."""

    expected: Floats
    width: Floats
    p: Floats
    adjusted: Floats
    told: Floats
    apart: Floats


class Backend(Protocol):
    """One form of the computation."""

    def forecast(
        self, s: forecast.Forecast, tick: Tick, of: Traits, tune: Tuning, out: Out
    ) -> None: ...

    def novelty(
        self, s: novelty.Novelty, tick: Tick, of: Traits, tune: Tuning, out: Out
    ) -> None: ...

    def peers(
        self, s: peers.Peers, tick: Tick, of: Traits, by: Grouping, tune: Tuning, out: Out
    ) -> None: ...

    def absence(self, s: absence.Absence, tick: Tick, of: Traits, tune: Tuning) -> None: ...


class Plain:
    """numpy, a temporary for each step."""

    def forecast(
        self, s: forecast.Forecast, tick: Tick, of: Traits, tune: Tuning, out: Out
    ) -> None:
        for column in out[:4]:
            column.fill(np.nan)
        rows = slice(None) if tick.ok.all() else np.flatnonzero(tick.ok)
        draw = conformal.uniform(of.keys[rows], tick.number, 0)
        judged = forecast.step(
            s, rows, tick.values[rows], tick.demand[rows], draw, ~tick.protect[rows],
            of.direction[rows], of.floor[rows], of.least[rows], tick.now, tune,
        )  # fmt: skip
        for column, told in zip(out[:4], judged, strict=True):
            column[rows] = told

    def novelty(self, s: novelty.Novelty, tick: Tick, of: Traits, tune: Tuning, out: Out) -> None:
        out.told.fill(0.0)
        rows = slice(None) if tick.ok.all() else np.flatnonzero(tick.ok)
        out.told[rows] = novelty.step(s, rows, tick.values[rows], ~tick.protect[rows], tune)

    def peers(
        self, s: peers.Peers, tick: Tick, of: Traits, by: Grouping, tune: Tuning, out: Out
    ) -> None:
        out.apart[:] = peers.distances(out.adjusted, tick.protect, of.group, by.order)
        told = np.isfinite(out.apart)
        rows = slice(None) if told.all() else np.flatnonzero(told)
        draw = conformal.uniform(of.keys[rows], tick.number, 4)
        peers.step(
            s, rows, out.apart[rows], draw, ~tick.protect[rows], of.direction[rows],
            of.floor[rows], of.least[rows], tune,
        )  # fmt: skip

    def absence(self, s: absence.Absence, tick: Tick, of: Traits, tune: Tuning) -> None:
        absence.step(s, tick.ok, ~tick.protect, of.least, tune)


class Compiled:
    """numba, one pass."""

    def __init__(self) -> None:
        if not compiled_is_there():
            raise MissingExtra("fast", "numba")
        _kernels()

    def forecast(
        self, s: forecast.Forecast, tick: Tick, of: Traits, tune: Tuning, out: Out
    ) -> None:
        _kernels().forecast(
            s, tick.ok, tick.values, tick.demand, of.keys, tick.number, tick.protect,
            of.direction, of.floor, of.least, tick.now, tune, *out[:4]
        )  # fmt: skip

    def novelty(self, s: novelty.Novelty, tick: Tick, of: Traits, tune: Tuning, out: Out) -> None:
        _kernels().novelty(s, tick.ok, tick.values, tick.protect, novelty.EDGES, tune, out.told)

    def peers(
        self, s: peers.Peers, tick: Tick, of: Traits, by: Grouping, tune: Tuning, out: Out
    ) -> None:
        _kernels().distances(out.adjusted, tick.protect, by.order, by.starts, out.apart)
        _kernels().peers(
            s, out.apart, of.keys, tick.number, tick.protect, of.direction, of.floor, of.least,
            tune,
        )  # fmt: skip

    def absence(self, s: absence.Absence, tick: Tick, of: Traits, tune: Tuning) -> None:
        _kernels().absence(s, tick.ok, tick.protect, of.least, tune)


def _kernels() -> ModuleType:
    """Imported when first needed: compiling, or reading what was compiled, takes a second."""
    return importlib.import_module("vagus.detection.baseline.kernels")


def compiled_is_there() -> bool:
    """Whether the extra ``fast`` is installed."""
    return importlib.util.find_spec("numba") is not None


def choose(fast: bool | None) -> Backend:
    """``None``: compiled if it can be. Raises MissingExtra if ``fast`` is asked for and can't."""
    return Compiled() if fast or (fast is None and compiled_is_there()) else Plain()
