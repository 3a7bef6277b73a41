"""Time that is injected: what a test may rely on."""

from __future__ import annotations

import asyncio
import time

from vagus.clock import ManualClock, SystemClock


async def test_nothing_passes_by_itself() -> None:
    clock = ManualClock(start=100.0)
    sleeper = asyncio.create_task(clock.sleep(1.0))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not sleeper.done()
    assert (clock.now(), clock.monotonic()) == (100.0, 0.0)
    sleeper.cancel()


async def test_a_sleeper_wakes_at_its_deadline_and_not_before() -> None:
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(10.0))
    await asyncio.sleep(0)
    clock.advance(9.5)
    await asyncio.sleep(0)
    assert not sleeper.done()
    clock.advance(0.5)
    await sleeper
    assert clock.monotonic() == 10.0


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    clock, woken = ManualClock(), list[float]()

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleep(s)) for s in (3.0, 1.0, 2.0, 9.0)]
    await asyncio.sleep(0)
    clock.advance(3.0)
    await asyncio.gather(*tasks[:3])
    assert woken == [1.0, 2.0, 3.0]
    tasks[3].cancel()


async def test_a_week_passes_at_once() -> None:
    clock = ManualClock(start=0.0)
    sleeper = asyncio.create_task(clock.sleep(7 * 86400.0))
    await asyncio.sleep(0)
    clock.advance(7 * 86400.0)
    await sleeper
    assert clock.now() == 7 * 86400.0


async def test_a_jump_of_the_wall_clock_wakes_nobody() -> None:
    clock = ManualClock(start=1000.0)
    sleeper = asyncio.create_task(clock.sleep(60.0))
    await asyncio.sleep(0)
    clock.jump(-500.0)
    clock.jump(+5000.0)
    await asyncio.sleep(0)
    assert not sleeper.done()
    assert (clock.now(), clock.monotonic()) == (5500.0, 0.0)
    sleeper.cancel()


async def test_no_time_to_sleep_still_lets_others_run() -> None:
    clock, ran = ManualClock(), asyncio.Event()
    other = asyncio.create_task(_set(ran))
    await clock.sleep(0.0)
    assert ran.is_set()
    await other


async def test_the_system_clock_reads_the_machine() -> None:
    clock = SystemClock()
    before = time.time(), time.monotonic()
    await clock.sleep(0.0)
    now = clock.now(), clock.monotonic()
    after = time.time(), time.monotonic()
    assert before[0] <= now[0] <= after[0]
    assert before[1] <= now[1] <= after[1]


async def _set(event: asyncio.Event) -> None:
    event.set()
