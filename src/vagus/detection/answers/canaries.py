"""Prompts with known answers: are they hit less often than when the model was healthy?

A healthy model misses some, too, so its rate of misses is recorded first. That rate is known only
as well as so many prompts can tell: what counts as healthy is its upper confidence bound (Clopper
and Pearson), so a short recording makes a slow detector, and not a false alarm. A bet is the ratio
of the chance of this hit or miss at a higher rate to that at the bound. It is at most 1 on average
for *any* rate up to the bound, whichever prompts are asked and in whatever order.
"""

from __future__ import annotations

import math

import numpy as np

from vagus.detection.answers.evidence import RUN_LENGTH, Floats, Wealth
from vagus.errors import MalformedData

CONFIDENCE = 0.95
LEAST = 20
"""Recorded prompts without which the bound says nothing."""
WORSE = np.array([0.05, 0.15, 0.35, 0.7])
"""Of the way from the bound to missing everything: the rates that are bet on."""


class Canaries:
    """Learned from ``hits`` of ``asked`` prompts. Raises MalformedData if that is no recording."""

    def __init__(self, hits: int, asked: int, *, run_length: float = RUN_LENGTH) -> None:
        if asked < LEAST or not 0 <= hits <= asked:
            raise MalformedData(
                f"a recording of {hits} hits among {asked} canary prompts",
                mend=f"ask at least {LEAST} of a healthy model",
            )
        self.healthy = most_misses(asked - hits, asked)
        self._rates: Floats = self.healthy + WORSE * (1.0 - self.healthy)
        self.wealth = Wealth(run_length, len(WORSE))

    def observe(self, hit: bool) -> bool:
        """One more prompt; whether there is an alarm."""
        if hit:
            return self.wealth.add((1.0 - self._rates) / max(1.0 - self.healthy, 1e-12))
        return self.wealth.add(self._rates / self.healthy)


def most_misses(misses: int, asked: int, confidence: float = CONFIDENCE) -> float:
    """The highest rate of misses at which so few are not yet a surprise (one-sided, exact)."""
    if misses >= asked:
        return 1.0
    low, high = misses / asked, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _at_most(misses, asked, middle) > 1.0 - confidence else (low, middle)
        )
    return high


def _at_most(misses: int, asked: int, rate: float) -> float:
    """P(so many or fewer of ``asked``) at a rate strictly between 0 and 1."""
    if not 0.0 < rate < 1.0:
        return 1.0 if rate <= 0.0 else 0.0
    whole = math.lgamma(asked + 1.0)
    return math.fsum(
        math.exp(
            whole
            - math.lgamma(k + 1.0)
            - math.lgamma(asked - k + 1.0)
            + k * math.log(rate)
            + (asked - k) * math.log1p(-rate)
        )
        for k in range(misses + 1)
    )
