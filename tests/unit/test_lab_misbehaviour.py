"""Misbehaviours bend bytes as they say, on generated bodies and a clock that stands still."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from vagus.clock import ManualClock, SystemClock
from vagus.errors import LabError
from vagus.lab import misbehaviour
from vagus.lab.misbehaviour import ConnectionCut, Misbehaviour

ARRIVALS = (2.0, 3.0, 3.5)
"""When the server's chunks arrive, in seconds after the request."""


async def timed_chunks(clock: ManualClock) -> AsyncIterator[bytes]:
    for number, arrival in enumerate(ARRIVALS):
        await clock.sleep(arrival - clock.monotonic())
        yield b"%d" % number


async def given(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def order(fault: str, **parameters: object) -> Misbehaviour:
    parsed = misbehaviour.parse({"fault": fault, **parameters})
    assert parsed is not None
    return parsed


async def drained_into(received: list[bytes], body: AsyncIterator[bytes]) -> None:
    async for chunk in body:
        received.append(chunk)  # noqa: PERF401  # what came before an error counts


async def departures(fault: Misbehaviour) -> list[float]:
    """When each chunk leaves, found by moving a clock in small steps."""
    clock = ManualClock()
    left: list[float] = []

    async def drain() -> None:
        body = fault.body(timed_chunks(clock), sse=True, asked_at=0.0, clock=clock)
        left.extend([clock.monotonic() async for _ in body])

    drained = asyncio.create_task(drain())
    for _ in range(1000):
        for _ in range(20):
            await asyncio.sleep(0)
        if drained.done():
            break
        clock.advance(0.125)
    await drained
    return left


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("slow", [8.0, 12.0, 14.0]),
        ("slow-first-token", [8.0, 9.0, 9.5]),
        ("slow-tokens", [2.0, 6.0, 8.0]),
    ],
)
async def test_slowness_stretches_the_time_line_of_the_answer(
    fault: str, expected: list[float]
) -> None:
    assert await departures(order(fault, factor=4)) == expected


async def test_slow_passes_on_that_the_server_broke_off() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise ConnectionResetError

    clock = ManualClock()
    body = order("slow").body(broken(), sse=True, asked_at=clock.monotonic(), clock=clock)
    received: list[bytes] = []
    with pytest.raises(ConnectionResetError):
        await drained_into(received, body)
    assert received == [b"a"]


@pytest.mark.parametrize("chunks", [1, 2])
async def test_cut_lets_some_chunks_of_a_stream_pass(chunks: int) -> None:
    received: list[bytes] = []
    body = order("cut", chunks=chunks).body(
        given(b"a", b"b", b"c"), sse=True, asked_at=0.0, clock=SystemClock()
    )
    with pytest.raises(ConnectionCut):
        await drained_into(received, body)
    assert received == [b"a", b"b"][:chunks]


async def test_cut_never_lets_a_short_stream_end_well() -> None:
    body = order("cut", chunks=9).body(given(b"a"), sse=True, asked_at=0.0, clock=SystemClock())
    with pytest.raises(ConnectionCut):
        await drained_into([], body)


async def scrambled(*chunks: bytes, sse: bool) -> bytes:
    body = order("garbage-json").body(given(*chunks), sse=sse, asked_at=0.0, clock=SystemClock())
    return b"".join([chunk async for chunk in body])


async def test_nonsense_keeps_the_shape_of_a_stream_that_arrives_in_odd_pieces() -> None:
    event = {"id": "7", "choices": [{"index": 0, "delta": {"content": "Paris is big, 2 million."}}]}
    stream = b"data: " + json.dumps(event).encode() + b"\n\ndata: [DONE]\n\n"
    result = await scrambled(stream[:20], stream[20:21], stream[21:], sse=True)
    first, blank, done, *_ = result.split(b"\n")
    noisy = json.loads(first.removeprefix(b"data: "))
    text = noisy["choices"][0]["delta"]["content"]
    original = event["choices"][0]["delta"]["content"]  # type: ignore[index]
    assert (blank, done) == (b"", b"data: [DONE]")
    assert text != original
    assert [c.isalpha() for c in text] == [c.isalpha() for c in original]
    noisy["choices"][0]["delta"]["content"] = original
    assert noisy == event


async def test_nonsense_replaces_the_text_of_a_whole_answer_and_not_its_role() -> None:
    message = {"role": "assistant", "content": "Forty-two."}
    result = json.loads(
        await scrambled(json.dumps({"choices": [{"message": message}]}).encode(), sse=False)
    )
    said = result["choices"][0]["message"]
    assert said["role"] == "assistant"
    assert said["content"] != message["content"]


async def test_a_delay_is_the_same_for_every_answer() -> None:
    assert await departures(order("delay", seconds=5)) == [
        5.0 + late for late in await departures(order("delay", seconds=0))
    ]


async def test_a_reset_comes_before_the_first_byte() -> None:
    received: list[bytes] = []
    body = order("reset").body(given(b"a", b"b"), sse=True, asked_at=0.0, clock=SystemClock())
    with pytest.raises(ConnectionCut):
        await drained_into(received, body)
    assert received == []


async def scraped(fault: misbehaviour.Misbehaviour, *chunks: bytes) -> bytes:
    body = fault.body(given(*chunks), sse=False, asked_at=0.0, clock=SystemClock())
    return b"".join([chunk async for chunk in body])


async def test_frozen_metrics_are_those_of_the_first_scrape() -> None:
    frozen = order("scrape-frozen")
    assert await scraped(frozen, b"tokens_total 1", b"2\n") == b"tokens_total 12\n"
    assert await scraped(frozen, b"tokens_total 99\n") == b"tokens_total 12\n"


async def test_lying_metrics_are_metrics() -> None:
    said = b'# HELP t 5\n# TYPE t counter\nt{le="0.5"} 3\nt_sum 2.5\n'
    lie = await scraped(order("scrape-lying", factor=4), said)
    assert lie == b'# HELP t 5\n# TYPE t counter\nt{le="0.5"} 12\nt_sum 10\n'


@pytest.mark.parametrize("name", misbehaviour.NAMES)
def test_whoever_watches_and_whoever_calls_are_kept_apart(name: str) -> None:
    assert (order(name).paths == "/metrics") is name.startswith("scrape-")


def test_null_means_behave() -> None:
    assert misbehaviour.parse({"fault": None}) is None


@pytest.mark.parametrize("name", misbehaviour.NAMES)
def test_every_name_can_be_ordered_without_parameters(name: str) -> None:
    assert order(name).name == name


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([], "needs a key"),
        ({}, "needs a key"),
        ({"fault": "explode"}, "no fault is called 'explode'"),
        ({"fault": "slow", "factor": 0.5}, "factor is 0.5"),
        ({"fault": "slow", "factor": "ten"}, "factor is 'ten'"),
        ({"fault": "slow", "factor": float("nan")}, "factor is nan"),
        ({"fault": "slow", "factor": True}, "factor is True"),
        ({"fault": "slow", "chunks": 3}, "no parameter 'chunks'"),
        ({"fault": "garbage", "factor": 3}, "no parameter 'factor'"),
        ({"fault": "cut", "chunks": 1.5}, "chunks is 1.5"),
        ({"fault": "http-500", "status": 200}, "status is 200"),
        ({"fault": None, "factor": 3}, "no fault is called None"),
    ],
)
def test_an_order_that_means_nothing_is_refused(bad: object, says: str) -> None:
    with pytest.raises(LabError, match=says) as caught:
        misbehaviour.parse(bad)
    assert caught.value.mend
