"""A value that doesn't come is evidence too: how much, depends on how often that happens.

For each series it is learned how likely a gap is to begin and to go on. Every tick bets that the
source is dead: a missing value pays one over how likely it was, a value that comes loses all. One
missed scrape in ten thousand is a surprise, in ten it is none; a long gap is one wherever gaps used
to be short.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vagus.detection.baseline import evidence
from vagus.detection.baseline.columns import Column
from vagus.detection.baseline.conformal import Bools
from vagus.detection.baseline.tuning import Tuning

Single = NDArray[np.float32]


class Absence(NamedTuple):
    """What is known of each series' gaps."""

    came: Single  # values
    gaps: Single  # gaps that began
    lasted: Single  # ticks by which gaps that ended had gone on
    going_on: Single  # ticks by which this one has: it teaches nothing before it ends
    ended: Single  # gaps that ended
    missing: NDArray[np.bool_]  # in the tick before
    wealth: Single


LAYOUT = {
    "came": Column(),
    "gaps": Column(),
    "lasted": Column(),
    "going_on": Column(),
    "ended": Column(),
    "missing": Column(np.bool_),
    "wealth": Column(),
}


def step(s: Absence, ok: Bools, teach: Bools, least: Single, tune: Tuning) -> None:
    """One tick of all series."""
    came, gaps = s.came.astype(np.float64), s.gaps.astype(np.float64)
    lasted, ended = s.lasted.astype(np.float64), s.ended.astype(np.float64)
    begins = (gaps + 1.0) / (came + gaps + tune.absent_prior)
    goes_on = (lasted + 2.0) / (lasted + ended + 3.0)
    usual = np.where(s.missing, goes_on, begins)
    gained = evidence.accumulate(s.wealth.astype(np.float64), -np.log(usual))
    s.wealth[:] = np.where(ok | (came < least), 0.0, gained)
    s.came[:] += teach & ok
    s.gaps[:] += teach & ~ok & ~s.missing & (came > 0)
    s.lasted[:] += np.where(teach & ok & s.missing, s.going_on, 0)
    s.ended[:] += teach & ok & s.missing
    s.going_on[:] = np.where(ok, 0, s.going_on + s.missing)
    s.missing[:] = ~ok & (came > 0)
