"""``false_alarms: 1 per week``, as a threshold; and whether it was kept.

The user states how many false alarms are bearable for the whole fleet. A series' evidence
(:mod:`.evidence`) reaches ``a`` at most once in ``a`` ticks while all is well, so with ``n``
series, ``T`` ticks in the period and ``N`` alarms allowed in it, ``a = n * T / N`` keeps the
promise: by counting, whatever the number of series and the length of the tick, and however series
depend on each other. The families (forecast, peers, absence, burn) share the budget as weights that
sum to 1: a family's evidence counts for its weight, and the average of bets is a bet.

When many series deviate at once, each needs less: with ``k`` of them above ``a'/k`` all of these
alarm (e-BH, Wang and Ramdas 2022, on each tick). Since P(M >= x) <= 1/x, the mean of evidence cut
off at ``a'`` is at most ``1 + ln a'``, so ``a' = a * (1 + ln a')`` keeps the expected share of
false ones among the alarms of a tick, summed over the period, within the budget. Each way gets
half.

What is proven holds for deviations that are exchangeable in time, which forecasts make true only
nearly. So it is measured too: a :class:`Tally` counts alarms and, long before there could be any,
how often evidence reaches a rung that chance reaches often. If that is more often than it is where
deviations are exchangeable, the threshold is raised in proportion.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vagus.detection.baseline.conformal import Bools, Floats

FAMILIES = ("forecast", "peers", "absence", "burn")
WEIGHTS = {"forecast": 0.5, "peers": 0.3, "absence": 0.1, "burn": 0.1}
"""Half and a third for what finds most; a tenth costs 2.3 nats, half a tick."""


@dataclass(frozen=True)
class Budget:
    """So many false alarms in such a time (seconds), over the whole fleet."""

    count: float = 1.0
    period: float = 604800.0

    def __post_init__(self) -> None:
        if not (self.count > 0 and self.period > 0):
            raise ValueError("a budget allows more than no alarms in more than no time")

    def needed(self, series: int, tick: float) -> float:
        """Evidence, in nats, at which one series alone alarms."""
        return math.log(max(2.0 * series * self.period / (self.count * tick), 2.0))

    def needed_together(self, series: int, tick: float) -> float:
        """The same for k series in one tick, each of which needs ln k less."""
        alone = self.needed(series, tick)
        needed = alone
        for _ in range(30):  # a contraction: the derivative of ln(1 + x) is below 1
            needed = alone + math.log1p(needed)
        return needed


def alarms(wealth: Floats, alone: float, together: float) -> Bools:
    """Which series alarm at these amounts of evidence, by either way."""
    result: Bools = wealth >= alone
    # k may be as many as all: only those within ln n of the goal can take part
    near = np.flatnonzero(wealth >= together - math.log(max(len(wealth), 1)))
    if len(near) > 1:
        ranked = np.sort(wealth[near])[::-1]
        enough = np.flatnonzero(ranked >= together - np.log(np.arange(1, len(near) + 1)))
        if len(enough):
            result = result | (wealth >= ranked[enough[-1]])
    return result


RUNG = math.log(1000.0)
"""Evidence that chance reaches once in a thousand ticks: often enough to be counted in minutes."""
FORGET = 0.9999
"""A tick's share that is kept in the tally: it looks back ten thousand ticks."""
USUAL_SHARE = 0.1
"""Of the crossings that could be, those that come when all is exchangeable: evidence jumps over the
rung, the bound doesn't know that (.07 measured on independent streams, .08 on AR(.9))."""
LEAST_EXPECTED = 10.0
"""Crossings without which their rate says nothing."""


@dataclass
class Tally:
    """What was asked, and what came."""

    series_ticks: float = 0.0
    seconds: float = 0.0
    alarms: int = 0
    recent: tuple[float, ...] = (0.0, 0.0)
    recent_ticks: float = 0.0

    def tick(self, series: int, seconds: float, opened: int, crossed: tuple[int, ...]) -> None:
        """One tick: ``opened`` alarms, and the series that reached the rung, by counted family."""
        self.series_ticks += series
        self.seconds += seconds
        self.alarms += opened
        self.recent = tuple(
            FORGET * before + now for before, now in zip(self.recent, crossed, strict=True)
        )
        self.recent_ticks = FORGET * self.recent_ticks + series

    def excess(self, family: int) -> float:
        """How many times more often than usual a family's evidence reaches the rung; 1 while
        unknown."""
        usual = self.recent_ticks * math.exp(-RUNG) * USUAL_SHARE
        return self.recent[family] / usual if usual >= LEAST_EXPECTED else 1.0

    def shrink(self, family: int) -> float:
        """What a family's evidence counts for: when it comes ``c`` times too often at the rung its
        tail is heavier by that power, and the more too often the higher up."""
        return max(1.0 - math.log(max(self.excess(family), 1.0)) / RUNG, 0.25)

    def per(self, period: float) -> tuple[float, float, float]:
        """Alarms in a period as measured, and the interval it may lie in (95 %, Poisson)."""
        scale = period / self.seconds if self.seconds > 0 else math.nan
        low, high = poisson_interval(self.alarms)
        return self.alarms * scale, low * scale, high * scale


def poisson_interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact (Garwood) interval of the mean of a Poisson count."""
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if count == 0 else _mean_where(lambda mean: 1.0 - _at_most(count - 1, mean), tail)
    high = _mean_where(lambda mean: -_at_most(count, mean), -tail)
    return low, high


def _at_most(count: int, mean: float) -> float:
    """P(X <= count) of a Poisson variable."""
    if mean <= 0:
        return 1.0
    terms = (k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(count + 1))
    return min(sum(map(math.exp, terms)), 1.0)


def _mean_where(rising: Callable[[float], float], goal: float) -> float:
    """The mean at which a function that rises with it reaches ``goal``, by bisection."""
    low, high = 0.0, 10.0
    while rising(high) < goal:
        high *= 2.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if rising(middle) < goal else (low, middle)
    return 0.5 * (low + high)
