"""The strict reader of event streams."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from vagus.lab.sse import BadStream, Event, events


async def read(raw: bytes, size: int = 1) -> list[Event]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(raw), size):
            yield raw[start : start + size]

    return [event async for event in events(chunks())]


STREAM = (
    b'data: {"a":\ndata: 1}\n\n: a comment\n\nevent: done\r\nid: 7\r\ndata:x\r\n\r\ndata: y\n\n'
)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_events_do_not_depend_on_where_the_body_is_cut(size: int) -> None:
    assert await read(STREAM, size) == [
        Event('{"a":\n1}'),
        Event("x", "done"),
        Event("y"),
    ]


async def test_what_is_written_is_read() -> None:
    said = [Event("one"), Event("two\nlines", "done"), Event("ümläut")]
    assert await read(b"".join(event.encode() for event in said)) == said


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"<!doctype html><title>It works!</title>\n\n", "not a line"),
        (b"data: half", "ended within"),
        (b"data: half\n", "ended within"),
        (b"data: \xff\xfe\n\n", "not text"),
        (b"data: " + b"x" * (1 << 21), "without an end"),
    ],
)
async def test_everything_else_is_a_bad_stream(raw: bytes, why: str) -> None:
    with pytest.raises(BadStream, match=why):
        await read(raw, size=4096)


async def test_an_empty_body_has_no_events() -> None:
    assert await read(b"") == []
