"""Evidence that a mean has fallen below what was promised, with a declared rate of false alarms.

Each observation lies between 0 and 1 and the promise is that their mean, given what was seen
before, is at least ``promise``. A bet on less pays ``1 + stake * (promise - seen)``, which is never
negative and on average at most 1 while the promise holds, whatever the distribution is and however
it changes (Waudby-Smith and Ramdas 2023). Bets are added up as Shiryaev and Roberts do,
``R = (R + 1) * paid``, so that a start of trouble at any time counts from then on; the mean of
several stakes is such a sum too. While all is well ``R`` grows by 1 per observation on average, so
it reaches ``a`` once in ``a`` observations at most (an e-detector; Shin, Ramdas and Rinaldo 2022).

Which observation is made next may depend on all that was seen: looking closer where there is doubt
costs nothing of the guarantee.
"""

from __future__ import annotations

import math

STAKES = (0.1, 0.25, 0.5, 0.9)
"""Shares of the largest stake that can't ruin: small ones for a small loss, large ones for all."""


class Doubt:
    """The evidence against one promise, from 0 to below 1 excluded."""

    def __init__(self, promise: float) -> None:
        if not 0 < promise < 1:
            raise ValueError("what is promised is a share: neither nothing nor all")
        self._promise = promise
        self._stakes = [share / (1.0 - promise) for share in STAKES]
        self.reset()

    def reset(self) -> None:
        self._sums = [float("-inf")] * len(STAKES)  # logarithms, in nats

    def see(self, value: float) -> None:
        """One observation more, in [0, 1]."""
        lack = self._promise - value
        self._sums = [
            _log_add_one(total) + math.log1p(stake * lack)
            for total, stake in zip(self._sums, self._stakes, strict=True)
        ]

    @property
    def nats(self) -> float:
        """The logarithm of the evidence."""
        highest = max(self._sums)
        if highest == float("-inf"):
            return highest
        mean = sum(math.exp(total - highest) for total in self._sums) / len(self._sums)
        return highest + math.log(mean)


def needed(per_second: float, count: float, period: float) -> float:
    """Nats at which to alarm, so that ``per_second`` observations give at most ``count`` false
    alarms in ``period`` seconds on average."""
    return math.log(max(per_second * period / count, 2.0))


def _log_add_one(log: float) -> float:
    """``log(exp(log) + 1)`` without overflow."""
    return max(log, 0.0) + math.log1p(math.exp(-abs(log)))
