"""Was anything like this ever seen? In value, in level and in volatility.

A residual says how far from the expectation; novelty says how far from everything that ever was,
which is what people mean when they look at a graph and wonder. A series that jumps between two
plateaus has large residuals and no novelty; a slow ramp has no residual worth the name and is new
at every step.

What was seen is kept as bits on a logarithmic scale, both ways from the middle of the first hundred
values, in units of their deviation: 512 places for each of the value, its smoothed level and its
volatility (the smoothed size of its steps). The novelty of a tick is the distance to the nearest
place that was ever taken; how rare that distance is follows from counts of earlier ones, by rank.
Nothing is forgotten: what was normal last month is not new.

New records come in bursts (the first step of a climb is followed by the second), so for a while
after one only a greater one is told again. That *hold-off* needs no threshold.

Novelty never makes an alarm by itself. Records of heavy tails come in clusters, so betting on them
breaks the budget (tried: twice over it), and what is rare by rank is never rarer than one in all
that was seen. It says what is remarkable, orders findings, and is said in their sentence.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vagus.detection.baseline import conformal
from vagus.detection.baseline.columns import Column
from vagus.detection.baseline.conformal import Bools, Floats, Rows
from vagus.detection.baseline.tuning import CHANNELS, DISTANCE_BINS, SEEN_WORDS, Tuning

Single = NDArray[np.float32]

PLACES = SEEN_WORDS * 64
PER_UNIT = 32.0
"""Places a unit of the logarithmic scale: one is 3 % of a large value, .03 deviations near 0."""
EDGES = np.array([1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129], dtype=np.int64)
"""Distances from which the next bin begins; bin 0 is what was seen before."""


class Novelty(NamedTuple):
    """What was seen of each series."""

    taught: Single
    middle: Floats
    unit: Single  # the usual deviation from the middle
    level: Floats
    volatility: Single
    last: Floats
    peak: Single  # the greatest novelty of this block of ticks,
    peak_before: Single  # of the one before,
    block: Single  # and how long this one has lasted
    seen: NDArray[np.uint64]
    counts: NDArray[np.uint16]  # of distances


LAYOUT = {
    "taught": Column(),
    "middle": Column(np.float64),
    "unit": Column(),
    "level": Column(np.float64),
    "volatility": Column(),
    "last": Column(np.float64),
    "peak": Column(),
    "peak_before": Column(),
    "block": Column(),
    "seen": Column(np.uint64, after=(CHANNELS, SEEN_WORDS)),
    "counts": Column(np.uint16, after=(CHANNELS, DISTANCE_BINS)),
}


def step(s: Novelty, rows: Rows, x: Floats, teach: Bools, tune: Tuning) -> Floats:
    """How novel ``x`` of ``rows`` is: 0 for what was seen, else -log10 of how rare it is."""
    count = s.taught[rows].astype(np.float64)
    first = count == 0
    middle = np.where(first, x, s.middle[rows])
    level = np.where(first, x, s.level[rows])
    last = np.where(first, x, s.last[rows])
    unit, volatility = s.unit[rows].astype(np.float64), s.volatility[rows].astype(np.float64)
    warming = count < tune.novelty_warm
    once = 1.0 / (count + 1.0)
    off = x - middle
    reach = np.where(count < 8, np.inf, 6.0 * unit)
    middle = np.where(warming, middle + once * np.clip(off, -reach, reach), middle)
    unit = np.where(warming, unit + once * (np.minimum(np.abs(off), reach) - unit), unit)
    level = level + np.maximum(once, tune.novelty_level_rate) * (x - level)
    move = np.abs(x - last)
    volatility = volatility + np.maximum(once, tune.novelty_volatility_rate) * (move - volatility)
    s.taught[rows] = count + 1
    s.middle[rows], s.unit[rows], s.level[rows] = middle, unit, level
    s.volatility[rows], s.last[rows] = volatility, x
    judged = ~warming
    size = np.maximum(unit, 1e-3 * np.abs(middle) + 1e-9)
    places = (
        _both_ways((x - middle) / size),
        _both_ways((level - middle) / size),
        np.log(volatility / size + 0.02),
    )
    told = np.zeros(len(x))
    for channel, place in enumerate(places):
        spot = np.clip(np.floor(place * PER_UNIT) + PLACES // 2, 0, PLACES - 1).astype(np.intp)
        distance = _distances(s.seen[rows, channel], spot)
        kind = np.searchsorted(EDGES, distance, side="right")
        counts = s.counts[rows, channel]
        new = np.flatnonzero(distance > 0)
        if len(new):
            rare = conformal.p_values(counts[new], kind[new], np.full(len(new), 0.5))
            told[new] = np.maximum(told[new], -np.log10(rare) + 1e-3 * distance[new])
        learning = judged & teach
        s.counts[rows, channel] = _learn(counts, kind, learning)
        _mark(s.seen, rows, channel, spot, learning)
    told = np.where(judged, told, 0.0)
    return _hold_off(s, rows, told, tune)


def _learn(counts: NDArray[np.uint16], kind: NDArray[np.intp], teach: Bools) -> NDArray[np.uint16]:
    """One more where ``teach``; nothing is halved before a count is as large as it can be."""
    grown = counts.copy()
    at = (np.arange(len(grown)), kind)
    grown[at] += teach.astype(np.uint16)
    full = grown[at] == np.iinfo(np.uint16).max
    if full.any():
        grown[full] = (grown[full] >> 1) + (grown[full] & 1)
    return grown


def _both_ways(x: Floats) -> Floats:
    result: Floats = np.sign(x) * np.log1p(np.abs(x))
    return result


def _distances(seen: NDArray[np.uint64], spot: NDArray[np.intp]) -> NDArray[np.int64]:
    """To the nearest place taken; 0 for those taken and when none is."""
    word = np.take_along_axis(seen, (spot >> 6)[:, None], axis=1)[:, 0]
    taken = (word >> (spot & 63).astype(np.uint64)) & np.uint64(1)
    distances = np.zeros(len(spot), dtype=np.int64)
    new = np.flatnonzero((taken == 0) & seen.any(axis=1))
    if len(new):
        octets = np.ascontiguousarray(seen[new]).astype("<u8").view(np.uint8)
        bits = np.unpackbits(octets, axis=1, bitorder="little")
        apart = np.abs(np.arange(PLACES)[None, :] - spot[new, None])
        distances[new] = np.where(bits == 1, apart, PLACES).min(axis=1)
    return distances


def _mark(
    seen: NDArray[np.uint64], rows: Rows, channel: int, spot: NDArray[np.intp], which: Bools
) -> None:
    at = np.arange(len(seen))[rows][which]
    bit = np.uint64(1) << (spot[which] & 63).astype(np.uint64)
    seen[at, channel, spot[which] >> 6] |= bit


def _hold_off(s: Novelty, rows: Rows, told: Floats, tune: Tuning) -> Floats:
    """0 unless it exceeds all of this block of ticks and of the one before."""
    peak, before = s.peak[rows].astype(np.float64), s.peak_before[rows].astype(np.float64)
    block = s.block[rows].astype(np.float64)
    told = told.astype(np.float32).astype(np.float64)
    result: Floats = np.where(told > np.maximum(peak, before), told, 0.0)
    peak = np.maximum(peak, told)
    over = block + 1 >= tune.hold_off
    s.peak_before[rows] = np.where(over, peak, before)
    s.peak[rows] = np.where(over, 0.0, peak)
    s.block[rows] = np.where(over, 0.0, block + 1)
    return result
