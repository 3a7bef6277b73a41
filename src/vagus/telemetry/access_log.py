"""The gateway's access log as evidence: attempts of callers, within a poll of being written.

What a row means is the dialect of the gateway that wrote it, and is given as a function. What can't
be understood is counted and named, once in a while with its reason, and spoils no other row. All
rows of a poll are one batch: the loop judges a batch at once, and a busy gateway writes thousands a
second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from vagus.clock import Clock
from vagus.model import Attempt
from vagus.ports import Emit
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.tail import Tail

POLL = 0.05  # s: half of what Envoy keeps a row back
UNREADABLE_PAUSE = 1.0  # s until a file that can't be read is tried again

Decode = Callable[[Mapping[str, object]], Attempt | None]
"""A row as an attempt; None for a row that speaks of no replica. Raises ValueError, TypeError,
KeyError or OverflowError for a row that can't be understood."""

_GARBAGE = (ValueError, TypeError, KeyError, OverflowError, RecursionError)


class AccessLogSource:
    """Implements :class:`~vagus.ports.Source` over a file of JSON lines."""

    name = "access-log"

    def __init__(self, path: Path, decode: Decode, clock: Clock, rejections: Rejections) -> None:
        self._path = path
        self._decode = decode
        self._clock = clock
        self._rejections = rejections
        self._tail = Tail(path, self._lost)

    async def run(self, emit: Emit) -> None:
        try:
            while True:
                pause = self._poll(emit)
                await self._clock.sleep(pause)
        finally:
            self._tail.close()

    def _poll(self, emit: Emit) -> float:
        """One look; how long to wait for the next."""
        try:
            lines, more = self._tail.read()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._rejections.count(Rejected.LOG_UNREADABLE, str(self._path), reason)
            self._tail.close()
            return UNREADABLE_PAUSE
        batch = [attempt for attempt in map(self._attempt, lines) if attempt is not None]
        if batch:
            emit(batch)
        return 0.0 if more else POLL

    def _attempt(self, line: bytes) -> Attempt | None:
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise TypeError("not an object")
            return self._decode(row)
        except _GARBAGE as error:
            self._lost(f"{type(error).__name__}: {str(error)[:200]}")
            return None

    def _lost(self, why: str) -> None:
        self._rejections.count(Rejected.LOG_LINE, str(self._path), why)
