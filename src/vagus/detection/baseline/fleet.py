"""All series of a fleet, a tick at a time.

One :class:`Fleet` holds the columns of every series and runs the detectors over them in order: what
was expected (:mod:`.forecast`), was it ever like this (:mod:`.novelty`), what did siblings do
(:mod:`.peers`), did it come at all (:mod:`.absence`). Each keeps its own evidence; the best, by its
family's share, is the series' evidence, and the budget says at how much of it there is an alarm.
No number in here is a threshold.

An alarm stays up until all evidence has gone, so that what hovers about the threshold is one alarm.
Whoever has an incident open for a series passes it in ``protect``: then it is judged and teaches
nothing, so that an outage doesn't become normal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vagus.detection.baseline import absence, backend, budget, columns, conformal
from vagus.detection.baseline import forecast as forecasts
from vagus.detection.baseline import novelty as novelties
from vagus.detection.baseline import peers as siblings
from vagus.detection.baseline.backend import Grouping, Out, Tick, Traits
from vagus.detection.baseline.budget import FAMILIES, RUNG, WEIGHTS, Budget, Tally
from vagus.detection.baseline.columns import Column, Layout, Ticked
from vagus.detection.baseline.conformal import Bools, Floats
from vagus.detection.baseline.tuning import DAY_S, DAY_SLOTS, HOUR_S, TUNING, WEEK_SLOTS, Tuning

BAND = 4.0
"""Usual deviations from the expectation to the ends of the band that is shown; no threshold."""
OVER = 6.0
"""Evidence is kept up to this much (nats) above what an alarm needs, so that it also goes again."""
DRIVEN = 0.5
"""What peers' evidence counts for where each series has a demand of its own: what is left of that
lasts as long as the demand does, and all of it would be too much (tried: twice the budget)."""
COUNTED = (0, 1)
"""Families whose evidence is tallied at the rung: forecast and peers."""
MOST = 1e15
"""What is larger is no measurement, and its square would fill a column."""
TENTH = 0.1
"""Of the evidence (nats) is added to the novelty (decades) of what is novel."""
SINCE_MONDAY = 3 * DAY_S
"""The Unix epoch began on a Thursday."""


class Scores(NamedTuple):
    """What a tick showed, for each series in the order in which they were added."""

    score: Floats  # how remarkable, for ranking: novelty, and evidence where it is novel
    p_value: Floats  # of the forecast; NaN if nothing can be said
    expected: Floats
    low: Floats
    high: Floats
    alarm: Bools  # up, as long as the evidence lasts
    opened: Bools  # went up in this tick
    evidence: Floats  # in nats, all families, each with its share of the budget
    family: NDArray[np.int8]  # index into budget.FAMILIES: whose evidence that is
    apart: Floats  # distance from the middle of its group; NaN without siblings
    novelty: Floats  # 0 for what was seen before or just now, else -log10 of how rare it is


class Own(NamedTuple):
    """What the fleet itself remembers of each series."""

    keys: conformal.Keys
    direction: NDArray[np.int8]
    floor: NDArray[np.float32]
    least: NDArray[np.float32]
    group: NDArray[np.int32]
    alarm: Bools
    above: Bools  # evidence has reached the rung that is counted, and not gone since: forecast
    above_peers: Bools  # and peers


OWN = {
    "keys": Column(np.uint64),
    "direction": Column(np.int8),
    "floor": Column(),
    "least": Column(),
    "group": Column(np.int32, fill=-1),
    "alarm": Column(np.bool_),
    "above": Column(np.bool_),
    "above_peers": Column(np.bool_),
}


class Fleet:
    """Detectors of any number of series that share a grid of ``tick`` seconds.

    ``false_alarms`` is the budget of them all; ``fast`` chooses the compiled form (None: if it is
    installed). Two fleets with the same ``seed`` and series say the same.
    """

    def __init__(
        self,
        tick: float = 1.0,
        false_alarms: Budget | None = None,
        *,
        seed: int = 0,
        fast: bool | None = None,
        tuning: Tuning = TUNING,
    ) -> None:
        if not tick > 0:
            raise ValueError("a tick lasts longer than no time")
        self.tick = float(tick)
        self.budget = false_alarms or Budget()
        self.seed = seed
        self.tuning = tuning
        self.tally = Tally()
        self.ticks = 0
        self.at = 0.0
        self.names: list[str] = []
        self._rows: dict[str, int] = {}
        self._backend = backend.choose(fast)
        self._own = columns.fresh(Own, OWN, 0)
        self._forecast = columns.fresh(forecasts.Forecast, forecasts.LAYOUT, 0)
        self._novelty = columns.fresh(novelties.Novelty, novelties.LAYOUT, 0)
        self._peers = columns.fresh(siblings.Peers, siblings.LAYOUT, 0)
        self._absence = columns.fresh(absence.Absence, absence.LAYOUT, 0)
        self._arranged()

    def __len__(self) -> int:
        return len(self.names)

    def row(self, name: str) -> int:
        """Where a series stands in the columns; KeyError if there is none of this name."""
        return self._rows[name]

    # --- which series ----------------------------------------------------------------------------

    def add(
        self,
        names: Sequence[str],
        *,
        direction: Sequence[int] | int = 0,
        floor: Sequence[float] | float = 0.0,
        least: Sequence[int] | int | None = None,
        group: Sequence[int] | int = -1,
    ) -> None:
        """More series, at the end; in batches, for it copies the columns.

        ``direction`` is which deviation is worse (1 up, -1 down, 0 either), ``floor`` the absolute
        deviation below which nothing matters, ``least`` how many values must have been seen,
        ``group`` the number of its siblings' group (-1: none).
        """
        if len(set(names)) != len(names) or not self._rows.keys().isdisjoint(names):
            raise ValueError("each series is added once, by a name of its own")
        before, many = len(self), len(names)
        self._own = columns.grown(self._own, OWN, many)
        self._forecast = columns.grown(self._forecast, forecasts.LAYOUT, many)
        self._novelty = columns.grown(self._novelty, novelties.LAYOUT, many)
        self._peers = columns.grown(self._peers, siblings.LAYOUT, many)
        self._absence = columns.grown(self._absence, absence.LAYOUT, many)
        own = self._own
        own.keys[before:] = [conformal.key_of(name, self.seed) for name in names]
        own.direction[before:] = np.sign(direction)
        own.floor[before:] = floor
        own.least[before:] = self.tuning.least if least is None else np.maximum(least, 1)
        own.group[before:] = group
        self.names.extend(names)
        self._arranged()

    def remove(self, names: Iterable[str]) -> None:
        """Forget these series; the others move up. KeyError if there is none of a name."""
        which = np.ones(len(self), dtype=bool)
        which[[self._rows[name] for name in names]] = False
        self._own = columns.kept(self._own, OWN, which)
        self._forecast = columns.kept(self._forecast, forecasts.LAYOUT, which)
        self._novelty = columns.kept(self._novelty, novelties.LAYOUT, which)
        self._peers = columns.kept(self._peers, siblings.LAYOUT, which)
        self._absence = columns.kept(self._absence, absence.LAYOUT, which)
        self.names = [name for name, stays in zip(self.names, which, strict=True) if stays]
        self._arranged()

    def arrange(
        self,
        *,
        direction: Sequence[int],
        floor: Sequence[float],
        least: Sequence[int | None],
        group: Sequence[int] | NDArray[np.int32],
    ) -> None:
        """Give every series these traits, as in :meth:`add`; what was learned stays."""
        own = self._own
        own.direction[:] = np.sign(direction)
        own.floor[:] = floor
        own.least[:] = [self.tuning.least if few is None else max(few, 1) for few in least]
        own.group[:] = group
        self._arranged()

    def acquit(self, names: Iterable[str]) -> None:
        """Drop the evidence against these series (another process serves them now), not what is
        usual of them."""
        for name in names:
            row = self._rows[name]
            for wealth in (self._forecast.wealth, self._peers.wealth, self._absence.wealth):
                wealth[row] = 0.0
            for flag in (self._own.alarm, self._own.above, self._own.above_peers):
                flag[row] = False

    def relearn(self, names: Iterable[str]) -> None:
        """What was normal of these series no longer is (a new version, another machine)."""
        for name in names:
            row = self._rows[name]
            columns.forget(self._forecast, forecasts.LAYOUT, row)
            columns.forget(self._novelty, novelties.LAYOUT, row)
            columns.forget(self._peers, siblings.LAYOUT, row)
            columns.forget(self._absence, absence.LAYOUT, row)
            self._own.alarm[row] = False

    def inherit(self, teacher: Fleet, names: Iterable[str]) -> None:
        """What ``teacher``, on whatever grid, learned of these series: see
        :func:`.forecast.inherit`. What it doesn't know, or what was seen here already, stays."""
        for name in names:
            row, known = self._rows[name], teacher._rows.get(name)
            if known is None or self._forecast.taught[row] or not teacher._forecast.taught[known]:
                continue
            forecasts.inherit(self._forecast, row, teacher._forecast, known, self.tuning)

    def _arranged(self) -> None:
        """What follows from which series there are."""
        many = len(self.names)
        self._rows = {name: row for row, name in enumerate(self.names)}
        own, group = self._own, self._own.group
        grouped = np.flatnonzero(group >= 0)
        order = grouped[np.argsort(group[grouped], kind="stable")].astype(np.int32)
        begins = np.flatnonzero(np.diff(group[order], prepend=-1)) if len(order) else order
        starts = np.append(begins, len(order)).astype(np.int32)
        self._grouping = Grouping(order, starts)
        self._traits = Traits(own.keys, own.direction, own.floor, own.least, own.group)
        self._out = Out(*(np.full(many, np.nan) for _ in Out._fields))
        self._no_demand = np.full(many, np.nan)
        self._nobody = np.zeros(many, dtype=bool)

    # --- what is kept ----------------------------------------------------------------------------

    def parts(self) -> dict[str, tuple[tuple[columns.Array, ...], Layout]]:
        """All columns, by detector, each with its layout: what a snapshot holds."""
        return {
            "own": (self._own, OWN),
            "forecast": (self._forecast, forecasts.LAYOUT),
            "novelty": (self._novelty, novelties.LAYOUT),
            "peers": (self._peers, siblings.LAYOUT),
            "absence": (self._absence, absence.LAYOUT),
        }

    def adopt(
        self, names: Sequence[str], states: Mapping[str, tuple[columns.Array, ...]], ticks: int,
        at: float,
    ) -> None:  # fmt: skip
        """Go on from these columns, which are those of another fleet's :meth:`parts`."""
        self.names, self.ticks, self.at = list(names), ticks, at
        self._own = Own(*states["own"])
        self._forecast = forecasts.Forecast(*states["forecast"])
        self._novelty = novelties.Novelty(*states["novelty"])
        self._peers = siblings.Peers(*states["peers"])
        self._absence = absence.Absence(*states["absence"])
        self._arranged()

    @property
    def bytes_per_series(self) -> float:
        """Of all that is kept between ticks."""
        return sum(columns.size(state) for state, _ in self.parts().values()) / max(len(self), 1)

    # --- a tick ----------------------------------------------------------------------------------

    def update(
        self,
        values: Floats,
        mask: Bools | None = None,
        demand: Floats | None = None,
        *,
        at: float | None = None,
        protect: Bools | None = None,
    ) -> Scores:
        """Judge one tick and learn from it.

        ``values[n]`` in the order of :attr:`names`; ``mask[n]`` is true where one came (what is not
        finite, or beyond :data:`MOST`, counts as missing); ``demand[n]`` is what drives each
        series, NaN if nothing does; ``at`` is when (Unix seconds; by default a tick after the
        last); ``protect[n]`` says from which nothing is learned. The columns of the result are the
        caller's to keep.
        """
        many = len(self)
        values = self._column(values, "values")
        self.at = self.at + self.tick if at is None else float(at)
        ok = np.abs(values) <= MOST
        if mask is not None:
            ok &= np.asarray(mask, dtype=bool)
        tick = Tick(
            self.ticks,
            self._now(self.at),
            values,
            ok,
            self._no_demand if demand is None else self._column(demand, "demand"),
            self._nobody if protect is None else np.asarray(protect, dtype=bool),
        )
        if len(tick.protect) != many or len(ok) != many:
            raise ValueError(f"a tick has {many} places, one for each series")
        out, tune = self._out, self.tuning
        self._backend.forecast(self._forecast, tick, self._traits, tune, out)
        self._backend.novelty(self._novelty, tick, self._traits, tune, out)
        if len(self._grouping.order):
            self._backend.peers(self._peers, tick, self._traits, self._grouping, tune, out)
        self._backend.absence(self._absence, tick, self._traits, tune)
        self.ticks += 1
        return self._scores(tick)

    def _column(self, given: Floats, what: str) -> Floats:
        column = np.ascontiguousarray(given, dtype=np.float64)
        if column.shape != (len(self),):
            raise ValueError(f"{what} has {column.shape} places, there are {len(self)} series")
        return column

    def _now(self, at: float) -> Ticked:
        """Between which slots a moment lies; slots are known by their middles."""
        day = (at % DAY_S) / HOUR_S - 0.5
        week = ((at + SINCE_MONDAY) % (7 * DAY_S)) / HOUR_S - 0.5
        hour, hour_of_week = math.floor(day), math.floor(week)
        return Ticked(
            at, self.tick,
            hour % DAY_SLOTS, (hour + 1) % DAY_SLOTS, day - hour,
            hour_of_week % WEEK_SLOTS, (hour_of_week + 1) % WEEK_SLOTS, week - hour_of_week,
        )  # fmt: skip

    def _scores(self, tick: Tick) -> Scores:
        alone, together = self.thresholds
        wealths = (self._forecast.wealth, self._peers.wealth, self._absence.wealth)
        driven = self._forecast.demand_count >= self.tuning.least
        evidence = np.full(len(self), -np.inf)
        family = np.zeros(len(self), dtype=np.int8)
        for number, wealth in enumerate(wealths):
            share = math.log(WEIGHTS[FAMILIES[number]])
            believed = self.tally.shrink(number) if number in COUNTED else 1.0
            np.minimum(wealth, (alone + OVER - share) / believed, out=wealth, casting="same_kind")
            counts_for = believed * wealth + share
            if FAMILIES[number] == "peers":
                counts_for = np.where(driven, DRIVEN * believed * wealth + share, counts_for)
            better = counts_for > evidence
            evidence[better] = counts_for[better]
            family[better] = number
        alarm = self._own.alarm
        over = budget.alarms(evidence, alone, together)
        opened = over & ~alarm
        gone = alarm & np.logical_and.reduce([wealth <= 0 for wealth in wealths])
        alarm |= over
        alarm &= ~gone
        self._count(opened, tick)
        out = self._out
        return Scores(
            score=np.where(out.told > 0, out.told + TENTH * np.maximum(evidence, 0.0), 0.0),
            p_value=out.p.copy(),
            expected=out.expected.copy(),
            low=out.expected - BAND * out.width,
            high=out.expected + BAND * out.width,
            alarm=alarm.copy(),
            opened=opened,
            evidence=evidence,
            family=family,
            apart=out.apart.copy(),
            novelty=out.told.copy(),
        )

    def _count(self, opened: Bools, tick: Tick) -> None:
        counted = ~(tick.protect | self._own.alarm) | opened
        crossed = []
        for wealth, above in (
            (self._forecast.wealth, self._own.above),
            (self._peers.wealth, self._own.above_peers),
        ):
            reached = wealth >= RUNG
            crossed.append(int((reached & ~above & counted).sum()))
            above |= reached
            above &= wealth > 0
        self.tally.tick(len(self), self.tick, int(opened.sum()), tuple(crossed))

    @property
    def thresholds(self) -> tuple[float, float]:
        """Evidence (nats) that a series needs alone, and k together, each ln k less."""
        many = max(len(self), 1)
        return (
            self.budget.needed(many, self.tick),
            self.budget.needed_together(many, self.tick),
        )
