"""Time, injected.

Nothing in Vagus reads the wall clock or sleeps by itself: it asks a :class:`Clock`, so that a week
passes in a test within a second and a replay runs on recorded time. Two readings are kept apart,
because they answer different questions: ``now()`` is *when*, for people, rows and other machines,
and may jump; ``monotonic()`` is *how long*, and never does.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where a step reads the time."""

    def now(self) -> float:
        """Seconds since the Unix epoch (UTC); may jump when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never runs backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of this clock have passed."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until told to move; sleepers wake in order of their deadlines."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Move both readings forward and wake whoever is due."""
        self._now += seconds
        self._elapsed += seconds
        due = [entry for entry in self._sleepers if entry[0] <= self._elapsed]
        self._sleepers = [entry for entry in self._sleepers if entry[0] > self._elapsed]
        for _, event in sorted(due, key=lambda entry: entry[0]):
            event.set()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP would; no time passes."""
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        event = asyncio.Event()
        self._sleepers.append((self._elapsed + seconds, event))
        await event.wait()
