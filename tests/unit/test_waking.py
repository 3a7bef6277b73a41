"""Every decision wakes whoever waits for it, once, wherever and whenever it was made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from structlog.testing import capture_logs

from vagus.clock import SystemClock
from vagus.waking import keep_waking


@dataclass
class Table:
    """What was decided; it can be out of reach for a while."""

    loop: asyncio.AbstractEventLoop
    ids: list[str]
    fails: int = 0
    looks: list[float] = field(default_factory=list)
    looked: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def decided(self, after: float) -> Sequence[str]:
        self.looks.append(after)
        self.loop.call_soon_threadsafe(self.looked.release)
        if self.fails:
            self.fails -= 1
            raise OSError("gone")
        return list(self.ids)

    async def looked_at(self, times: int) -> None:
        for _ in range(times):
            await asyncio.wait_for(self.looked.acquire(), 60)


async def test_each_is_woken_once_also_after_trouble() -> None:
    table, woken = Table(asyncio.get_running_loop(), ["a"], fails=1), list[str]()
    task = asyncio.create_task(keep_waking(table, woken.append, SystemClock()))
    await table.looked_at(3)
    table.ids += ["b"]
    await table.looked_at(3)
    task.cancel()
    assert woken == ["a", "b"]


async def test_trouble_is_told_once_and_its_end_once() -> None:
    table = Table(asyncio.get_running_loop(), ["a"], fails=5)
    with capture_logs() as told:
        task = asyncio.create_task(keep_waking(table, lambda _: None, SystemClock()))
        await table.looked_at(8)
        task.cancel()
    assert [entry["event"] for entry in told] == ["waking.failed", "waking.goes_on"]


async def test_what_was_decided_while_nobody_ran_is_found() -> None:
    table = Table(asyncio.get_running_loop(), [])
    began = SystemClock().now()
    task = asyncio.create_task(keep_waking(table, lambda _: None, SystemClock()))
    await table.looked_at(2)
    task.cancel()
    assert table.looks[0] < began - 1800 < table.looks[1]
