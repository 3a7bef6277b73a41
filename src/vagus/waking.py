"""Wakes the workflows whose questions people have answered.

An answer may come through this process, through another one, or have come while nobody ran. So
nobody is relied on to pass it on: the table is looked at several times a second, for what was
decided lately, and each decision wakes its workflow once. Whoever sleeps on looks by itself before
long; this is what makes the time from a yes to its action a fraction of a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from vagus.clock import Clock

log = structlog.get_logger()

EVERY = 0.1  # s between two looks
OVERLAP = 10.0  # s by which looks overlap: the clocks of processes differ, and a commit takes time
AT_START = 3600.0  # s: what was decided while nobody ran


class Decided(Protocol):
    def decided(self, after: float) -> Sequence[str]: ...


async def keep_waking(proposals: Decided, wake: Callable[[str], None], clock: Clock) -> None:
    """Call ``wake``, on another thread, once for each proposal that is decided; until cancelled."""
    looked_from, woken, away = clock.now() - AT_START, frozenset[str](), False
    while True:
        now = clock.now()
        try:
            found = frozenset(await asyncio.to_thread(proposals.decided, looked_from))
            for proposal in sorted(found - woken):
                await asyncio.to_thread(wake, proposal)
            looked_from, woken = now - OVERLAP, found
        except Exception as error:  # noqa: BLE001  the next look makes up for it
            if not away:  # once, and not ten times a second for as long as the state is away
                log.warning("waking.failed", error=repr(error))
            away = True
        else:
            if away:
                log.info("waking.goes_on")
            away = False
        await clock.sleep(EVERY)
