"""What was refused, by name: no evidence disappears without being counted.

A rejection is told once in a while, not every time: a target that answers HTML once a second would
otherwise fill the disk with the news.
"""

from __future__ import annotations

from collections import Counter

import structlog

from vagus.clock import Clock

log = structlog.get_logger()

TELL_EVERY = 60.0  # s between two warnings of the same name and place


class Rejections:
    """Counts by name; warns of each name and place at most every ``TELL_EVERY`` seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], float] = {}
        self.counts: Counter[str] = Counter()

    def count(self, name: str, where: str, why: str) -> None:
        """One more ``name``, at ``where``, because of ``why``."""
        self.counts[name] += 1
        now = self._clock.monotonic()
        last = self._told.get((name, where))
        if last is None or now - last >= TELL_EVERY:
            self._told[(name, where)] = now
            log.warning("telemetry.rejected", rejection=name, where=where, why=why)
