"""Objectives: is the error budget burning so fast that somebody must know?

An objective allows a share of requests to be bad. The *burn rate* is the share that is, over the
share that may be: at 1 the budget lasts as long as the objective's window. Two pairs of windows are
watched (Beyer et al., The Site Reliability Workbook, 2018): 14.4 times over an hour and five
minutes, which is 2 % of a month's budget in an hour; 6 times over six hours and half an hour. Both
windows of a pair must burn: the long one that it matters, the short one that it is still so, and
that it ends soon after the cause does. Below a minimum of traffic a share says nothing.

Requests are counted by minutes, all objectives at once; memory is six hours of minutes each. The
state is rebuilt from traffic, so it is in no snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vagus.detection.baseline.conformal import Bools, Floats

MINUTE_S = 60.0
PAIRS = ((14.4, 60, 5), (6.0, 360, 30))
"""Burn rate, long and short window in minutes."""
KEPT = max(long for _, long, _ in PAIRS)
LEAST_BAD = 5.0
"""Bad requests in the long window: fewer are an accident."""
LEAST_REQUESTS = 10.0
"""Requests in the short window."""


class Burning(NamedTuple):
    """Of each objective."""

    alarm: Bools
    rate: (
        Floats  # over the short window of the pair that burns, else of the first; 0 without traffic
    )
    since_minutes: Floats  # length of the long window that the alarm rests on; 0 without one


class Burn:
    """Objectives, by the share of requests that each allows to be bad."""

    def __init__(self, at_most: Sequence[float]) -> None:
        if not all(0 < share < 1 for share in at_most):
            raise ValueError("an objective allows more than nothing and less than everything")
        self._at_most = np.asarray(at_most, dtype=np.float64)
        self._bad = np.zeros((KEPT, len(at_most)))
        self._all = np.zeros((KEPT, len(at_most)))
        self._minute: int | None = None

    def update(self, at: float, bad: Floats, requests: Floats) -> Burning:
        """Count what came since the last time. What is not finite or below 0 counts as nothing;
        time that runs backwards counts into the present minute."""
        minute = int(at // MINUTE_S)
        if self._minute is None:
            self._minute = minute
        for passed in range(self._minute + 1, min(minute, self._minute + KEPT) + 1):
            self._bad[passed % KEPT] = self._all[passed % KEPT] = 0.0
        if minute > self._minute + KEPT:
            self._bad[:], self._all[:] = 0.0, 0.0
        self._minute = max(self._minute, minute)
        here = self._minute % KEPT
        good_count = np.isfinite(bad) & np.isfinite(requests) & (bad >= 0) & (requests >= bad)
        self._bad[here] += np.where(good_count, bad, 0.0)
        self._all[here] += np.where(good_count, requests, 0.0)
        return self._judge()

    def _judge(self) -> Burning:
        objectives = len(self._at_most)
        alarm, since = np.zeros(objectives, dtype=bool), np.zeros(objectives)
        rate = self._window(PAIRS[0][2])[0]
        for factor, long, short in PAIRS:
            long_rate, long_bad, _ = self._window(long)
            short_rate, _, short_all = self._window(short)
            burns = (long_rate >= factor) & (short_rate >= factor)
            burns &= (long_bad >= LEAST_BAD) & (short_all >= LEAST_REQUESTS) & ~alarm
            alarm |= burns
            since = np.where(burns, float(long), since)
            rate = np.where(burns, short_rate, rate)
        return Burning(alarm, rate, since)

    def _window(self, minutes: int) -> tuple[Floats, Floats, Floats]:
        """Burn rate, bad requests and all requests of the last minutes."""
        assert self._minute is not None
        rows = (self._minute - np.arange(minutes)) % KEPT
        bad, everything = self._bad[rows].sum(axis=0), self._all[rows].sum(axis=0)
        share = np.where(everything > 0, bad / np.maximum(everything, 1.0), 0.0)
        return share / self._at_most, bad, everything
