"""P-values that add up to an alarm, with a declared average run length.

A p-value is bet on: ``kappa * p ** (kappa - 1)`` is 1 on average while p is uniform, and more when
small ones are frequent. Bets multiply from each moment at which a change might have begun, and all
these moments are added up, ``R = (R + 1) * bet``. That is the e-detector of Shiryaev and Roberts
(Shin, Ramdas and Rinaldo, *E-detectors*, 2024): R is at most as large as the number of vectors on
average, so the first time at which it reaches A comes after A vectors on average, or later. Sums of
such R keep that, so several bets are averaged: which kappa is right depends on how much changed.
They are averaged over novelty and witness too, because each is blind where the other sees.

The promise needs p-values that are uniform given the past. Novelty's are, since its calibration
grows. The witness ranks against the same n rows again and again. Along one direction of change its
bets are off by a common factor whose logarithm per step is normal with deviation
``deviation(bet) / sqrt(n)``, and a wager whose drift is ``-variance / 2`` then reaches A not with
probability ``1/A`` but ``A ** (2 z / (deviation * sqrt(n)))`` times that, z standard normal. The
mean of it over z is the charge: the witness's bets are worth so much less (:func:`charge`). It
falls to nothing as the reference grows. That a fixed reference needs one is argued by Shaer, Bar,
Prinster and Romano, *Conditional conformal test martingales*, 2026, who bound it in another way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vagus.detection.drift.reference import Floats

KAPPAS = np.array([[0.4, 0.55, 0.7, 0.85], [0.3, 0.4, 0.55, 0.7]])
"""Of novelty and of the witness; from few vectors that are far off to many that are a little. A
witness's smaller bet could not be told from the error of ranks that are fixed."""


def charge(kappa: float, size: int, run_length: float) -> float:
    """What a bet on ranks among ``size`` fixed values is divided by, at threshold ``run_length``.

    The variance is that of a bet on ranks that can't be below ``1 / size``.
    """
    second = kappa**2 * _power_mean(2.0 * kappa - 2.0, 1.0 / size)
    deviation = math.sqrt(max(second - 1.0, 1e-9))
    exponent = 2.0 * math.log(run_length) / (deviation * math.sqrt(size))
    return math.exp(0.5 * exponent**2)


def _power_mean(power: float, least: float) -> float:
    """The mean of ``p ** power`` over p uniform on (least, 1)."""
    if abs(power + 1.0) < 1e-9:
        return -math.log(least) / (1.0 - least)
    mean: float = (1.0 - least ** (power + 1.0)) / ((power + 1.0) * (1.0 - least))
    return mean


@dataclass
class Wealth:
    """What the bets on both p-values have come to."""

    share: Floats
    """(2, kappas): of each in the average; they sum to 1 or, charged, to less."""
    sums: Floats
    """(2, kappas): R, the sum over all moments of beginning."""
    best: Floats
    """(2, kappas): the largest single one, in nats (CUSUM), which says when it may have begun."""
    began: Floats
    """(2, kappas): the number of the vector at which that one began."""

    @classmethod
    def of(cls, size: int, run_length: float) -> Wealth:
        share = np.full(KAPPAS.shape, 1.0 / KAPPAS.size)
        share[1] /= [charge(float(kappa), size, run_length) for kappa in KAPPAS[1]]
        return cls(share, *(np.zeros(KAPPAS.shape) for _ in range(3)))

    @property
    def average(self) -> float:
        return float((self.share * self.sums).sum())

    @property
    def start(self) -> int:
        """The vector at which what weighs most began."""
        leading = int((self.share * self.sums).argmax())
        return int(self.began.flat[leading])

    def add(self, number: int, p: Floats) -> float:
        """The ``number``-th vector's two p-values; the average afterwards."""
        nats = _LOG_KAPPAS - _EXPONENTS * np.log(p)[:, None]
        self.sums = (self.sums + 1.0) * np.exp(nats)
        fresh = self.best <= 0.0
        self.began[fresh] = number
        self.best = np.where(fresh, 0.0, self.best) + nats
        return self.average

    def restart(self) -> None:
        """As if nothing had been seen."""
        self.sums[:] = self.best[:] = self.began[:] = 0.0


_EXPONENTS = 1.0 - KAPPAS
_LOG_KAPPAS = np.log(KAPPAS)
