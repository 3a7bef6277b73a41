"""What siblings did in the same tick.

A replica's distance from the middle of its group is a series of its own: it doesn't move when all
get slower together, and moves at once when one does. Each has its usual distance (a faster machine
is no finding), so the distance is forecast like any value: level, AR(1), rank, evidence.

What their own demand does to each is taken off first, and its noise is brought to the usual one: of
two replicas one may have more to do. Where that isn't known yet, nothing is compared.

The middle is the median of those who reported and are not under protection, so that one sick
sibling of three makes none of the others look odd. Of two, each is the other's measure: both stand
out, and which one is sick is for other evidence to say.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vagus.detection.baseline import conformal, evidence
from vagus.detection.baseline.columns import Column
from vagus.detection.baseline.conformal import Bools, Floats, Rows
from vagus.detection.baseline.tuning import SCORE_BINS, Tuning

Single = NDArray[np.float32]
Index = NDArray[np.int32]


class Peers(NamedTuple):
    """What is known of each series' distance from the middle of its group."""

    level: Floats
    taught: Single
    scale: Single
    before: Single
    power: Single
    echo: Single
    wealth: Single
    counts: NDArray[np.uint16]


LAYOUT = {
    "level": Column(np.float64),
    "taught": Column(),
    "scale": Column(),
    "before": Column(),
    "power": Column(),
    "echo": Column(),
    "wealth": Column(),
    "counts": Column(np.uint16, after=(SCORE_BINS,)),
}


def distances(x: Floats, protect: Bools, group: Index, order: Index) -> Floats:
    """From the median of the group; NaN where there is nobody else, or ``x`` is NaN. ``order``
    lists the members of groups, one group after the other."""
    ok = np.isfinite(x)
    result = np.full(len(x), np.nan)
    measure = order[ok[order] & ~protect[order]]
    if not len(measure):
        return result
    ranked = measure[np.lexsort((x[measure], group[measure]))]
    groups, starts, sizes = np.unique(group[ranked], return_index=True, return_counts=True)
    low, high = x[ranked[starts + (sizes - 1) // 2]], x[ranked[starts + sizes // 2]]
    middle, many = np.full(int(group.max()) + 1, np.nan), np.zeros(int(group.max()) + 1, np.int64)
    middle[groups], many[groups] = 0.5 * (low + high), sizes
    members = order[ok[order]]
    others = many[group[members]] - (~protect[members])
    result[members] = np.where(others >= 1, x[members] - middle[group[members]], np.nan)
    return result


def step(
    s: Peers, rows: Rows, d: Floats, draw: Floats, teach: Bools, direction: NDArray[np.int8],
    floor: Single, least: Single, tune: Tuning,
) -> None:  # fmt: skip
    """Judge distances ``d`` (none NaN) of ``rows`` and, where ``teach``, learn from them."""
    count = s.taught[rows].astype(np.float64)
    level = np.where(count == 0, d, s.level[rows])
    power, before = s.power[rows].astype(np.float64), s.before[rows].astype(np.float64)
    echo, scale = s.echo[rows].astype(np.float64), s.scale[rows].astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = np.where(power > 0, np.clip(echo / power, 0.0, tune.whiten_most), 0.0)
    surprise = d - level
    rest = surprise - phi * before
    worse = direction.astype(np.float64) * rest
    deviation = np.where(direction == 0, np.abs(rest), np.maximum(worse, 0.0))
    deviation = np.where(np.abs(rest) < floor, 0.0, deviation)
    with np.errstate(invalid="ignore", divide="ignore"):
        score = np.where(scale > 0, deviation / scale, np.where(deviation > 0, 1e9, 0.0))
    place, counts = conformal.bins(score), s.counts[rows]
    p = conformal.p_values(counts, place, draw)
    judged = counts.sum(axis=1, dtype=np.int64) >= least
    wealth = s.wealth[rows].astype(np.float64)
    gained = evidence.accumulate(wealth, evidence.bet(p, tune.kappa))
    s.wealth[rows] = np.where(judged, gained, wealth)
    once = 1.0 / (count + 1.0)
    reach = tune.clip * np.sqrt(power)
    bounded = np.where(count < 8, surprise, np.clip(surprise, -reach, reach))
    s.before[rows] = bounded
    s.level[rows] = np.where(teach, level + np.maximum(once, tune.level_rate) * bounded, level)
    rate = np.maximum(once, tune.whiten_rate)
    s.power[rows] = np.where(teach, power + rate * (bounded * bounded - power), power)
    s.echo[rows] = np.where(teach, echo + rate * (bounded * before - echo), echo)
    size = np.where(count < 8, np.abs(rest), np.minimum(np.abs(rest), tune.clip * scale))
    size = np.maximum(size, 1e-12)
    rate = np.maximum(once, tune.scale_rate)
    s.scale[rows] = np.where(teach, scale + rate * (size - scale), scale)
    s.counts[rows] = conformal.learn(counts, place, teach & (count >= 8), tune.memory)
    s.taught[rows] = np.where(teach, count + 1, count)
