"""The load: open loop, and not one bad answer counted as good."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from vagus.clock import Clock, ManualClock, SystemClock
from vagus.lab.answers import Ask, Chat, Failure, Target
from vagus.lab.hop import reset
from vagus.lab.load import COHORTS, Load, Request, requests
from vagus.lab.results import Result, Summary
from vagus.lab.settings import LabSettings
from vagus.lab.sse import Event


def piece(text: str) -> bytes:
    return Event(json.dumps({"text": text})).encode()


def delta(text: str) -> bytes:
    return Event(json.dumps({"choices": [{"delta": {"content": text}}]})).encode()


DONE = Event('{"finish_reason": "stop", "sources": [{"id": 1, "distance": 0.2}]}', "done").encode()
NO_SOURCES = Event('{"finish_reason": "stop", "sources": []}', "done").encode()
ERROR = Event('{"upstream": "chat", "detail": "gone"}', "error").encode()
END = b"data: [DONE]\n\n"
HTML = b"<!doctype html><title>It works!</title>\n\n"


@dataclass
class Stack:
    """Answers every path with the same body; remembers who asked."""

    body: Sequence[bytes] = (piece("It "), piece("works."), DONE)
    status: int = 200
    content_type: str = "text/event-stream"
    cut: bool = False
    hold: asyncio.Event | None = None
    arrived: asyncio.Queue[web.Request] = field(default_factory=asyncio.Queue)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.arrived.put_nowait(request)
        if self.hold is not None:
            await self.hold.wait()
        response = web.StreamResponse(
            status=self.status, headers={"Content-Type": self.content_type}
        )
        await response.prepare(request)
        for part in self.body:
            await response.write(part)
        if self.cut:
            reset(request)
        return response


@pytest.fixture
def stack() -> Stack:
    return Stack()


@pytest.fixture
async def base_url(stack: Stack) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/{path:.*}", stack.answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


def same_request() -> Iterator[Request]:
    return itertools.repeat(Request("Why?", "free"))


def load_of(
    base_url: str,
    times: Sequence[float],
    *,
    target: Target | None = None,
    clock: Clock | None = None,
    give_up_s: float = 30.0,
    most_in_flight: int = 100,
) -> Load:
    return Load(
        base_url,
        iter(times),
        same_request(),
        target=target or Ask(),
        clock=clock or SystemClock(),
        give_up_s=give_up_s,
        most_in_flight=most_in_flight,
    )


async def test_a_good_answer_is_recorded_with_its_times(base_url: str, stack: Stack) -> None:
    seen: list[Result] = []
    load = load_of(base_url, [0.0, 0.01])
    load.on_result = seen.append
    results = await load.run()
    assert seen == results
    assert [result.intended for result in sorted(results, key=lambda r: r.intended)] == [0, 0.01]
    for result in results:
        assert result.ok, result.detail
        assert result.pieces == 2
        assert result.first_token is not None
        assert result.intended <= result.sent <= result.first_token <= result.ended
    request = stack.arrived.get_nowait()
    assert request.path == "/ask"
    assert request.headers["x-user-cluster"] == "free"
    assert request.headers["traceparent"].split("-")[1] in {r.trace_id for r in results}


@pytest.mark.parametrize(
    ("target", "change", "failure", "detail"),
    [
        (Ask(), {"status": 502}, Failure.STATUS, "502"),
        (Ask(), {"content_type": "text/html", "body": [HTML]}, Failure.SHAPE, "text/html"),
        (Ask(), {"body": [HTML]}, Failure.SHAPE, "not a line"),
        (Ask(), {"body": [b"data: {\n\n"]}, Failure.SHAPE, "validation error"),
        (Ask(), {"body": [delta("x"), DONE]}, Failure.SHAPE, "validation error"),
        (Ask(), {"body": [DONE]}, Failure.SHAPE, "empty"),
        (Ask(), {"body": [piece(""), DONE]}, Failure.SHAPE, "empty"),
        (Ask(), {"body": [piece("x"), NO_SOURCES]}, Failure.SHAPE, "without sources"),
        (Ask(), {"body": [piece("x"), DONE, piece("y")]}, Failure.SHAPE, "after the end"),
        (Ask(), {"body": [piece("x")]}, Failure.CUT, "no last event"),
        (Ask(), {"body": [piece("x"), ERROR]}, Failure.CUT, "gone"),
        (Ask(), {"body": [piece("x")], "cut": True}, Failure.CUT, ""),
        (Ask(), {"body": []}, Failure.CUT, "no last event"),
        (Chat(), {"body": [delta("x")]}, Failure.CUT, "no [DONE]"),
        (Chat(), {"body": [END]}, Failure.SHAPE, "empty"),
        (Chat(), {"body": [piece("x"), END]}, Failure.SHAPE, "validation error"),
        (Chat(), {"body": [delta("x"), END], "cut": True}, Failure.CUT, ""),
    ],
)
async def test_a_bad_answer_is_a_failure_of_its_kind(
    base_url: str,
    stack: Stack,
    target: Target,
    change: dict[str, object],
    failure: Failure,
    detail: str,
) -> None:
    for name, value in change.items():
        setattr(stack, name, value)
    (result,) = await load_of(base_url, [0.0], target=target).run()
    assert result.failure == failure
    assert detail in result.detail
    assert result.detail


async def test_a_good_answer_of_the_model_alone(base_url: str, stack: Stack) -> None:
    stack.body = [delta(""), delta("It "), delta("works."), END]
    (result,) = await load_of(base_url, [0.0], target=Chat()).run()
    assert result.ok, result.detail
    assert result.pieces == 2
    assert stack.arrived.get_nowait().path == "/v1/chat/completions"


async def test_nobody_there_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        base_url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        (result,) = await load_of(base_url, [0.0]).run()
    assert result.failure is Failure.UNREACHABLE


async def test_a_caller_gives_up(base_url: str, stack: Stack) -> None:
    stack.hold = asyncio.Event()
    (result,) = await load_of(base_url, [0.0], give_up_s=0.05).run()
    stack.hold.set()
    assert result.failure is Failure.TIMEOUT


async def test_arrivals_do_not_wait_for_answers(base_url: str, stack: Stack) -> None:
    stack.hold = asyncio.Event()
    clock = ManualClock()
    load = load_of(base_url, [0, 1, 2, 3], clock=clock)
    running = asyncio.create_task(load.run())
    async with asyncio.timeout(10):
        await stack.arrived.get()
        for _ in range(3):
            clock.advance(1)
            await stack.arrived.get()
        assert not load.results
        clock.advance(10)
        stack.hold.set()
        results = await running
    assert sorted(result.intended for result in results) == [0, 1, 2, 3]
    # All were answered at the same moment, so the first one has waited longest.
    assert sorted(result.latency for result in results) == [10, 11, 12, 13]


class LateClock(ManualClock):
    """Wakes every sleeper three seconds late, as a machine under pressure does."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds + 3)


async def test_latency_counts_from_the_intended_moment(base_url: str) -> None:
    (result,) = await load_of(base_url, [2.0], clock=LateClock()).run()
    assert (result.sent, result.latency, result.ttft) == (5, 3, 3)
    assert Summary.of([result], slow_after_s=1).worst_lateness_s == 3


async def test_more_than_can_wait_are_not_sent_and_counted(base_url: str, stack: Stack) -> None:
    stack.hold = asyncio.Event()
    load = load_of(base_url, [0.0] * 5, most_in_flight=2)
    running = asyncio.create_task(load.run())
    async with asyncio.timeout(10):
        for _ in range(2):
            await stack.arrived.get()
        stack.hold.set()
        results = await running
    failures = [result.failure for result in results]
    assert failures.count(Failure.OVERLOAD) == 3
    assert failures.count(None) == 2


async def test_it_ends_after_its_duration(base_url: str) -> None:
    load = Load(base_url, itertools.count(0.0, 0.01), same_request())
    assert len(await load.run(duration=0.05)) == 5


def test_requests_are_seeded_and_come_from_all_cohorts() -> None:
    settings = LabSettings(passages=90)
    first, again, other = (
        list(itertools.islice(requests(settings, seed), 200)) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert {request.cohort for request in first} == set(COHORTS)


def result(
    intended: float, ttft: float | None, latency: float, failure: Failure | None = None
) -> Result:
    first_token = None if ttft is None else intended + ttft
    ended = intended + latency
    return Result(intended, intended + 0.01, first_token, ended, failure, "", "free", "t", 1)


def test_a_summary_takes_quantiles_of_good_answers_only() -> None:
    good = [result(n, 0.1 * n, 0.2 * n) for n in range(1, 11)]
    bad = [result(20, None, 30, Failure.TIMEOUT), result(21, 9, 9, Failure.CUT)]
    summary = Summary.of([*good, *bad, result(22, None, 0, Failure.CUT)], slow_after_s=0.75)
    assert (summary.requests, summary.ok, summary.failed, summary.slow) == (13, 10, 3, 3)
    assert summary.failures == {"cut": 2, "timeout": 1}
    assert summary.ttft_s is not None
    assert summary.ttft_s.p50 == pytest.approx(0.55)
    assert summary.ttft_s.max == pytest.approx(1.0)
    assert summary.latency_s is not None
    assert summary.latency_s.max == pytest.approx(2.0)
    assert summary.worst_lateness_s == pytest.approx(0.01)


def test_a_summary_of_nothing_has_no_quantiles() -> None:
    summary = Summary.of([], slow_after_s=1)
    assert (summary.requests, summary.ttft_s, summary.latency_s) == (0, None, None)
