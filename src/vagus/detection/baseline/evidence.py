"""Evidence that adds up: e-processes, and why they keep a false-alarm rate.

A p-value is turned into a bet, ``e = kappa * p ** (kappa - 1)``, whose mean is 1 while all is well.
Bets multiply from tick to tick, and the wealth is lifted to 1 whenever it is less:
``M = max(M, 1) * e`` (a CUSUM of e-values; Shin, Ramdas and Rinaldo 2022). While the p-values are
independent and uniform, P(M >= a) <= 1/a at any tick, so a series crosses ``a`` at most once in
``a`` ticks on average, and thousands of series at most in proportion, however they depend on each
other. No distribution, no window and no sigma is in this. All is kept as logarithms (nats).
"""

from __future__ import annotations

import math

import numpy as np

from vagus.detection.baseline.conformal import Floats


def bet(p: Floats, kappa: float) -> Floats:
    """The logarithm of what a p-value is worth."""
    result: Floats = math.log(kappa) - (1.0 - kappa) * np.log(p)
    return result


def accumulate(wealth: Floats, gain: Floats) -> Floats:
    """One tick more."""
    result: Floats = np.maximum(wealth, 0.0) + gain
    return result
