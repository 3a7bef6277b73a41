"""Rows into attempts, by the poll; garbage is counted and spoils nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from vagus.clock import ManualClock
from vagus.model import Attempt, Evidence, Phase, Subject
from vagus.telemetry.access_log import POLL, UNREADABLE_PAUSE, AccessLogSource
from vagus.telemetry.rejections import Rejected, Rejections


def decode(row: Mapping[str, object]) -> Attempt | None:
    if row["who"] is None:
        return None
    number = int(float(str(row["n"])))
    return Attempt(Subject("chat", str(row["who"])), str(number), Phase.ENDED, 0.0, 0.0)


class Running:
    """A source that polls whenever the test says so."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock()
        self.rejections = Rejections(self.clock)
        self.batches: list[Sequence[Evidence]] = []
        self.source = AccessLogSource(path, decode, self.clock, self.rejections)

    async def polled(self, seconds: float = POLL) -> list[str]:
        """The ids that came with this poll."""
        known = len(self.batches)
        self.clock.advance(seconds)
        await settled()
        rows = [e for batch in self.batches[known:] for e in batch]
        return [e.id for e in rows if isinstance(e, Attempt)]

    def write(self, *rows: object) -> None:
        with self.path.open("a") as file:
            file.writelines(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Running]:
    found = Running(path)
    task = asyncio.create_task(found.source.run(found.batches.append))
    await settled()
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_all_rows_of_a_poll_are_one_batch(tmp_path: Path) -> None:
    async with running(tmp_path / "log") as log:
        log.write(*({"who": "chat-1", "n": n} for n in range(3)))
        assert await log.polled() == ["0", "1", "2"]
        assert len(log.batches) == 1
        assert await log.polled() == []
        assert len(log.batches) == 1


GARBAGE = (
    "not json",
    '{"who": "chat-1"',
    "[1, 2]",
    '"text"',
    '{"n": 1}',
    '{"who": "chat-1", "n": "soon"}',
    '{"who": "chat-1", "n": Infinity}',
    '{"who": "chat-1", "n": NaN}',
    "[" * 50_000,
    "\x00\x01\x02",
    "\ud800",
)


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_is_counted_and_spoils_no_other_row(tmp_path: Path, garbage: str) -> None:
    async with running(tmp_path / "log") as log:
        with log.path.open("ab") as file:
            file.write(b'{"who": "chat-1", "n": 1}\n')
            file.write(garbage.encode("utf-8", "surrogatepass") + b"\n")
            file.write(b'{"who": "chat-1", "n": 2}\n')
        assert await log.polled() == ["1", "2"]
        assert log.rejections.counts == {Rejected.LOG_LINE: 1}


async def test_a_row_of_nobody_is_no_garbage(tmp_path: Path) -> None:
    async with running(tmp_path / "log") as log:
        log.write({"who": None, "n": 1}, {"who": "chat-1", "n": 2})
        assert await log.polled() == ["2"]
        assert not log.rejections.counts


async def test_a_backlog_is_read_without_waiting(tmp_path: Path) -> None:
    async with running(tmp_path / "log") as log:
        log.write(*({"who": "chat-1", "n": n, "filler": "x" * 1000} for n in range(600)))
        assert len(await log.polled()) == 600
        assert len(log.batches) == 3


async def test_what_cant_be_read_is_told_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.mkdir()
    async with running(path) as log:
        assert log.rejections.counts == {Rejected.LOG_UNREADABLE: 1}
        path.rmdir()
        log.write({"who": "chat-1", "n": 1})
        assert await log.polled() == []
        assert await log.polled(UNREADABLE_PAUSE) == ["1"]
