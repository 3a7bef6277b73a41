"""How often somebody may ask: a token bucket each.

A bucket fills by ``rate`` and holds ``burst``; a request takes one. Buckets are kept for those who
came lately: a flood of strangers must not become a flood of memory, and who was forgotten starts
with a full one, which is what an idle bucket would hold anyway.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from vagus.clock import Clock

KEPT = 4096  # buckets


@dataclass
class _Bucket:
    level: float
    at: float


class Limits:
    def __init__(self, clock: Clock, *, count: float, period: float) -> None:
        """``count`` requests at once, and so many again in each ``period`` (s)."""
        self._clock = clock
        self._burst = count
        self._rate = count / period
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, key: str) -> float:
        """Take one. 0: go on; else the seconds until there will be one again."""
        now = self._clock.monotonic()
        bucket = self._buckets.pop(key, None) or _Bucket(self._burst, now)
        bucket.level = min(self._burst, bucket.level + (now - bucket.at) * self._rate)
        bucket.at = now
        self._buckets[key] = bucket
        if len(self._buckets) > KEPT:
            self._buckets.popitem(last=False)
        if bucket.level < 1.0:
            return (1.0 - bucket.level) / self._rate
        bucket.level -= 1.0
        return 0.0
