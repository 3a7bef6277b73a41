"""What a series should be now, and how unusual it is that it isn't.

The expectation is a level, plus what the hour of the day and of the week do, plus what the current
demand does, plus what remains of the last surprise (AR(1)). Each is learned as cheaply as can be:
an exponential mean whose first values count for more, taught by deviations that are clipped, so
that an outage of an hour doesn't become the expectation of the next.

Two levels are kept. The *level* follows within a hundred ticks and makes the forecast; the *anchor*
takes a day, and season and demand are measured against it, as the fast one would have swallowed
them. A season joins the forecast only as the second day (week) goes by: one day is no pattern.

Demand is known in bins of half an octave, each with its own effect and its own usual deviation, for
a queue grows faster than its load and its noise with it. At a demand that was never seen nothing
is known, so nothing is judged there: a surge is not a sickness. It is learned within 32 ticks.

This module is the plain form; :mod:`.kernels` does the same in one compiled pass.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vagus.detection.baseline import conformal, evidence
from vagus.detection.baseline.columns import Column, Ticked
from vagus.detection.baseline.conformal import Bools, Floats, Rows
from vagus.detection.baseline.tuning import (
    DAY_S,
    DAY_SLOTS,
    DEMAND_BINS,
    HOUR_S,
    SCORE_BINS,
    WEEK_S,
    WEEK_SLOTS,
    Tuning,
)

Single = NDArray[np.float32]
Counts = NDArray[np.uint16]


class Forecast(NamedTuple):
    """What is known of each series."""

    born: Floats  # when its first value came
    level: Floats
    anchor: Floats
    taught: Single
    spread: Single  # mean absolute deviation from the anchor
    scale: Single  # the same of what remains when all is said
    before: Single  # the last surprise
    power: Single  # mean square of surprises
    echo: Single  # mean product of one with the next
    wealth: Single  # evidence, in nats
    day: Single
    week: Single
    demand_unit: Single
    demand_count: Single
    demand_effect: Single
    demand_scale: Single
    demand_seen: Counts
    counts: Counts  # of deviations, by size


LAYOUT = {
    "born": Column(np.float64, fill=np.nan),
    "level": Column(np.float64),
    "anchor": Column(np.float64),
    "taught": Column(),
    "spread": Column(),
    "scale": Column(),
    "before": Column(),
    "power": Column(),
    "echo": Column(),
    "wealth": Column(),
    "day": Column(before=(DAY_SLOTS,)),
    "week": Column(before=(WEEK_SLOTS,)),
    "demand_unit": Column(),
    "demand_count": Column(),
    "demand_effect": Column(after=(DEMAND_BINS,)),
    "demand_scale": Column(after=(DEMAND_BINS,)),
    "demand_seen": Column(np.uint16, after=(DEMAND_BINS,)),
    "counts": Column(np.uint16, after=(SCORE_BINS,)),
}


class Judged(NamedTuple):
    """Of one tick; NaN where nothing can be said."""

    expected: Floats
    width: Floats  # the usual deviation
    p: Floats
    adjusted: Floats  # the value, as it would be at the usual demand


class Demand(NamedTuple):
    """What is known of the effect of a demand."""

    effect: Floats
    scale: Floats  # 0 where the usual one of the series holds
    known: Bools
    low: NDArray[np.intp]  # the bin below; the next one is above
    part: Floats  # how far it lies between the two
    told: Bools  # a demand came, and its unit is known


def step(
    s: Forecast, rows: Rows, x: Floats, demand: Floats, draw: Floats, teach: Bools,
    direction: NDArray[np.int8], floor: Single, least: Single, now: Ticked, tune: Tuning,
) -> Judged:  # fmt: skip
    """Judge ``x`` of ``rows`` and, where ``teach``, learn from it."""
    count = s.taught[rows].astype(np.float64)
    first = count == 0
    s.born[rows] = np.where(first, now.at, s.born[rows])
    s.level[rows] = np.where(first, x, s.level[rows])
    s.anchor[rows] = np.where(first, x, s.anchor[rows])
    age = now.at - s.born[rows]
    day = _between(s.day, rows, now.day_0, now.day_1, now.day_part)
    week = _between(s.week, rows, now.week_0, now.week_1, now.week_part)
    season = np.clip(age / DAY_S - 1, 0, 1) * day + np.clip(age / WEEK_S - 1, 0, 1) * week
    load = _demand(s, rows, demand, tune)
    level = s.level[rows]
    base = level + season + load.effect
    power, before = s.power[rows].astype(np.float64), s.before[rows].astype(np.float64)
    echo = s.echo[rows].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = np.where(power > 0, np.clip(echo / power, 0.0, tune.whiten_most), 0.0)
    expected = base + phi * before
    surprise = x - base
    rest = x - expected
    scale = s.scale[rows].astype(np.float64)
    usual = np.where(load.scale > 0, load.scale, scale)
    counts = s.counts[rows]
    worse = direction.astype(np.float64) * rest
    deviation = np.where(direction == 0, np.abs(rest), np.maximum(worse, 0.0))
    deviation = np.where(np.abs(rest) < floor, 0.0, deviation)
    with np.errstate(invalid="ignore", divide="ignore"):
        score = np.where(usual > 0, deviation / usual, np.where(deviation > 0, 1e9, 0.0))
        calmer = np.where(usual > 0, scale / usual, 1.0)
    place = conformal.bins(score)
    p = conformal.p_values(counts, place, draw)
    judged = load.known & (counts.sum(axis=1, dtype=np.int64) >= least)
    wealth = s.wealth[rows].astype(np.float64)
    s.wealth[rows] = np.where(
        judged, evidence.accumulate(wealth, evidence.bet(p, tune.kappa)), wealth
    )
    steady = teach & load.known
    _learn_demand(s, rows, x - s.anchor[rows] - season, np.abs(rest), load, teach, tune)
    _learn_season(s, rows, x - load.effect, day, week, age, teach & load.known, now, tune)
    once = 1.0 / (count + 1.0)
    reach = tune.clip * np.sqrt(power)
    bounded = np.where(count < 8, surprise, np.clip(surprise, -reach, reach))
    quick = np.maximum(once, tune.level_rate)
    s.level[rows] = np.where(steady, level + quick * bounded, level)
    rate = np.maximum(once, tune.whiten_rate)
    s.power[rows] = np.where(steady, power + rate * (bounded * bounded - power), power)
    s.echo[rows] = np.where(steady, echo + rate * (bounded * before - echo), echo)
    s.before[rows] = np.where(load.known, bounded, 0.0)
    size = np.where(count < 8, np.abs(rest), np.minimum(np.abs(rest), tune.clip * scale))
    size = np.maximum(size, 1e-7 * np.abs(x) + 1e-12)
    rate = np.maximum(once, tune.scale_rate)
    s.scale[rows] = np.where(steady, scale + rate * (size - scale), scale)
    s.counts[rows] = conformal.learn(counts, place, steady & (count >= 8), tune.memory)
    s.taught[rows] = np.where(teach, count + 1, count)
    nothing = np.nan
    return Judged(
        np.where(load.known, expected, nothing),
        np.where(load.known, usual, nothing),
        np.where(judged, p, nothing),
        np.where(load.known, x - load.effect - surprise * (1.0 - calmer), nothing),
    )


def inherit(s: Forecast, row: int, teacher: Forecast, from_row: int, tune: Tuning) -> None:
    """Let a series that was not seen yet begin with what another grid showed of it: where it
    stands, what hours and weekdays do, and what demand does. Not how much it varies from tick to
    tick: a value of a minute is calmer than one of a second, so noise is learned from its own.
    What demand does is taken as half known, which a few ticks at each confirm."""
    for column in ("born", "level", "anchor", "spread", "demand_unit", "demand_count"):
        getattr(s, column)[row] = getattr(teacher, column)[from_row]
    s.day[:, row], s.week[:, row] = teacher.day[:, from_row], teacher.week[:, from_row]
    s.demand_effect[row] = teacher.demand_effect[from_row]
    half = np.uint16(tune.demand_known / 2)
    s.demand_seen[row] = np.minimum(teacher.demand_seen[from_row], half)
    s.taught[row] = 1.0


def _between(slots: Single, rows: Rows, first: int, second: int, part: float) -> Floats:
    a, b = slots[first, rows].astype(np.float64), slots[second, rows].astype(np.float64)
    result: Floats = a + part * (b - a)
    return result


def _demand(s: Forecast, rows: Rows, demand: Floats, tune: Tuning) -> Demand:
    """What this demand does, from the two bins around it, each as far as it is known."""
    came = np.isfinite(demand)
    counted, unit = s.demand_count[rows].astype(np.float64), s.demand_unit[rows].astype(np.float64)
    if not came.any() and not counted.any():  # the usual case of series without a demand
        zeros = np.zeros(len(came))
        return Demand(zeros, zeros, ~came, zeros.astype(np.intp), zeros, came)
    learning = came & (counted < tune.least) & (demand > 0)
    s.demand_unit[rows] = np.where(learning, unit + (demand - unit) / (counted + 1), unit)
    s.demand_count[rows] = counted + learning
    depends = counted >= tune.least
    told = came & depends
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(told & (demand > 0), demand / unit, 0.0)
        half_octaves = np.where(ratio > 0, 2.0 * np.log2(ratio) + DEMAND_BINS // 2, 0.0)
    position = np.clip(half_octaves, 0.0, DEMAND_BINS - 1.0)
    low = np.minimum(position.astype(np.intp), DEMAND_BINS - 2)
    part = position - low
    nearest = low + (part >= 0.5)
    pick = (np.arange(len(came)), low)
    pick_next = (pick[0], low + 1)
    seen, effect, scale = s.demand_seen[rows], s.demand_effect[rows], s.demand_scale[rows]
    sure = (1 - part) * np.minimum(seen[pick], tune.demand_known)
    sure_next = part * np.minimum(seen[pick_next], tune.demand_known)
    both = sure + sure_next
    some = told & (both > 0)
    divisor = np.where(some, both, 1.0)
    effects = (sure * effect[pick] + sure_next * effect[pick_next]) / divisor
    scales = (sure * scale[pick] + sure_next * scale[pick_next]) / divisor
    familiar = seen[pick[0], nearest] >= tune.demand_known
    return Demand(
        np.where(some, effects, 0.0),
        np.where(some & familiar, scales, 0.0),
        np.where(depends, told & familiar, True),
        low,
        part,
        told,
    )


def _learn_demand(
    s: Forecast, rows: Rows, target: Floats, size: Floats, load: Demand, teach: Bools, tune: Tuning
) -> None:
    which = np.flatnonzero(teach & load.told)
    if not len(which):
        return
    index = np.arange(s.demand_seen.shape[0])[rows][which]
    low, part = load.low[which], load.part[which]
    here = part >= 0.5
    at, other = (index, low + here), (index, low + 1 - here)
    near, far = np.where(here, part, 1.0 - part), np.where(here, 1.0 - part, part)
    seen = s.demand_seen[at].astype(np.float64)
    rate = np.maximum(1.0 / (seen + 1.0), tune.demand_rate)
    scale = s.demand_scale[at].astype(np.float64)
    reach = np.where(seen < tune.demand_known, np.inf, tune.clip * scale)
    off = np.clip(target[which] - load.effect[which], -reach, reach)
    step = off / (near * near + far * far)
    seen_far = s.demand_seen[other].astype(np.float64)
    rate_far = np.where(seen_far > 0, np.maximum(1.0 / (seen_far + 1.0), tune.demand_rate), 0.0)
    effect = np.where(seen > 0, s.demand_effect[at], load.effect[which])
    s.demand_effect[at] = effect + rate * near * step
    s.demand_effect[other] = s.demand_effect[other] + rate_far * far * step
    # What the effect was off by is no noise of this demand while the effect is being learned.
    size = np.where(seen < tune.demand_known, np.abs(off), size[which])
    s.demand_scale[at] = scale + rate * (np.minimum(size, reach) - scale)
    s.demand_seen[at] = np.minimum(seen + 1, 60000.0)


def _learn_season(
    s: Forecast, rows: Rows, x: Floats, day: Floats, week: Floats, age: Floats, teach: Bools,
    now: Ticked, tune: Tuning,
) -> None:  # fmt: skip
    anchor, spread = s.anchor[rows], s.spread[rows].astype(np.float64)
    count = s.taught[rows].astype(np.float64)
    once = 1.0 / (count + 1.0)
    pace = min(1.0, 1.6 * now.seconds / HOUR_S)
    off = x - anchor - day
    reach = np.where(age < DAY_S, np.inf, tune.clip * spread)
    off = np.clip(off, -reach, reach)
    off_week = np.clip(x - anchor - day - week, -reach, reach)
    gain = np.maximum(0.8 / (age / DAY_S + 1.0), tune.day_rate) * pace * off
    for slot, part in ((now.day_0, 1 - now.day_part), (now.day_1, now.day_part)):
        old = s.day[slot, rows].astype(np.float64)
        s.day[slot, rows] = np.where(teach, old + part * gain, old)
    gain = np.maximum(0.8 / (age / WEEK_S + 1.0), tune.week_rate) * pace * off_week
    for slot, part in ((now.week_0, 1 - now.week_part), (now.week_1, now.week_part)):
        old = s.week[slot, rows].astype(np.float64)
        s.week[slot, rows] = np.where(teach, old + part * gain, old)
    slow = np.maximum(once, min(now.seconds / DAY_S, tune.level_rate))
    move = np.where(age < DAY_S, off, off_week)
    s.anchor[rows] = np.where(teach, anchor + slow * move, anchor)
    fast = np.maximum(once, min(now.seconds / DAY_S, tune.scale_rate))
    s.spread[rows] = np.where(teach, spread + fast * (np.abs(off) - spread), spread)
