"""Bets that add up to an alarm, once in a declared run length while nothing is wrong.

A bet is a number that is at most 1 on average while the model is what it was. ``R = (R + 1) * bet``
sums the products of bets from every moment at which it might have changed; on average R is at most
the number of bets, so it reaches A after A of them or later (Shiryaev and Roberts; Shin, Ramdas and
Rinaldo, *E-detectors*, 2024). Several kinds of bet are averaged, since nobody knows how bad it is.
After an alarm evidence starts anew.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RUN_LENGTH = 10_000.0
KAPPAS = np.array([0.15, 0.3, 0.5, 0.75])
"""Of the bet ``kappa * p ** (kappa - 1)``: from a gross regression to a faint one."""


@dataclass
class Wealth:
    """What all bets have come to. Raises ValueError for a run length below 2."""

    run_length: float
    kinds: int

    def __post_init__(self) -> None:
        if not self.run_length >= 2.0:
            raise ValueError("a run length is at least 2")
        self.sums: Floats = np.zeros(self.kinds)
        self.alarms = 0

    @property
    def level(self) -> float:
        """At most the number of bets since the last alarm, on average."""
        return float(self.sums.mean())

    def add(self, bets: Floats) -> bool:
        """One more bet of each kind; whether there is an alarm."""
        self.sums = (self.sums + 1.0) * bets
        if self.level < self.run_length:
            return False
        self.alarms += 1
        self.sums[:] = 0.0
        return True


def on_p_value(p: float) -> Floats:
    """Bets on one p-value, for small ones."""
    bets: Floats = KAPPAS * p ** (KAPPAS - 1.0)
    return bets


class Ranks:
    """Randomised ranks among all before: independent and uniform while scores are exchangeable."""

    def __init__(self, scores: list[float]) -> None:
        self._sorted = sorted(scores)

    def __len__(self) -> int:
        return len(self._sorted)

    def rank(self, score: float, chance: float) -> float:
        """The share of scores as high or higher, ``chance`` in (0, 1] among equals; it is then one
        of them."""
        held = len(self._sorted)
        above = held - bisect_right(self._sorted, score)
        equal = held - above - bisect_left(self._sorted, score) + 1
        insort(self._sorted, score)
        return (above + chance * equal) / (held + 1)
