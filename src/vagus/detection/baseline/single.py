"""One series, as in a notebook: ``learn_one`` and ``score_one``, the way river has it.

A fleet of one, with all of its detectors but siblings. Judging and learning are one step in a
fleet, so ``score_one`` judges a value without learning from it, ``learn_one`` learns without
telling, and ``update`` does both at once, which is faster and what a fleet does.
"""

from __future__ import annotations

import copy

import numpy as np

from vagus.detection.baseline.budget import Budget
from vagus.detection.baseline.fleet import Fleet, Scores
from vagus.detection.baseline.tuning import TUNING, Tuning


class Single:
    """The detector of one series; arguments as those of :class:`~.fleet.Fleet` and its ``add``."""

    def __init__(
        self,
        tick: float = 1.0,
        false_alarms: Budget | None = None,
        *,
        direction: int = 0,
        floor: float = 0.0,
        seed: int = 0,
        fast: bool | None = None,
        tuning: Tuning = TUNING,
    ) -> None:
        self._fleet = Fleet(tick, false_alarms, seed=seed, fast=fast, tuning=tuning)
        self._fleet.add(["series"], direction=direction, floor=floor)

    def update(self, x: float, demand: float = np.nan, *, at: float | None = None) -> Scores:
        """Judge a value and learn from it: the columns have one place each."""
        return self._fleet.update(np.array([x]), demand=np.array([demand]), at=at)

    def learn_one(self, x: float, demand: float = np.nan, *, at: float | None = None) -> None:
        """Learn from a value."""
        self.update(x, demand, at=at)

    def score_one(self, x: float, demand: float = np.nan, *, at: float | None = None) -> float:
        """How remarkable a value would be now; nothing is learned."""
        return float(copy.deepcopy(self).update(x, demand, at=at).score[0])

    def protect_one(self, x: float, demand: float = np.nan, *, at: float | None = None) -> Scores:
        """Judge a value as one of an incident: evidence adds up, nothing is learned."""
        return self._fleet.update(
            np.array([x]), demand=np.array([demand]), at=at, protect=np.array([True])
        )
