"""Callers judge the light upstream's answers, each of its faults by its name."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from benchmarks.reaction.client import Answer, Load, Normal
from benchmarks.reaction.upstream import Upstream
from vagus.clock import SystemClock


class Scene:
    def __init__(self, server: TestServer, upstream: Upstream) -> None:
        self.server = server
        self.upstream = upstream

    async def ask(self, fault: dict[str, object]) -> Answer:
        async with aiohttp.ClientSession() as session:
            async with session.post(self.server.make_url("/-/fault"), json=fault) as response:
                assert response.status == 200
            url = str(self.server.make_url("/v1/chat/completions"))
            load = Load(url, 1000.0, session, SystemClock())
            await load.send(1)
            await load.finish()
        (answer,) = load.answers
        return answer

    async def metrics(self) -> dict[str, float]:
        url = self.server.make_url("/metrics")
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            lines = (await response.text()).splitlines()
        pairs = (line.split() for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    upstream = Upstream(SystemClock())
    async with TestServer(upstream.app()) as server:
        yield Scene(server, upstream)


@pytest.mark.parametrize(
    ("fault", "flaw"),
    [
        (None, ""),
        ("garbage", "wrong type"),
        ("http-500", "HTTP 500"),
        ("cut", "cut"),
    ],
)
async def test_an_answer_that_is_of_no_use_has_a_flaw(
    scene: Scene, fault: str | None, flaw: str
) -> None:
    answer = await scene.ask({"fault": fault})
    assert answer.flaw == flaw
    assert answer.intended <= answer.sent <= answer.ended


async def test_nobody_listening_is_a_flaw() -> None:
    async with aiohttp.ClientSession() as session:
        load = Load("http://127.0.0.1:1/v1/chat/completions", 1000.0, session, SystemClock())
        await load.send(1)
        await load.finish()
    assert [answer.flaw for answer in load.answers] == ["no answer"]


async def test_the_servers_own_counters_show_that_it_crawls(scene: Scene) -> None:
    await scene.ask({"fault": None})
    well = await scene.metrics()
    answer = await scene.ask({"fault": "slow", "factor": 10})
    sick = await scene.metrics()
    assert answer.flaw == ""
    tokens = sick["llamacpp:tokens_predicted_total"] - well["llamacpp:tokens_predicted_total"]
    assert tokens == well["llamacpp:tokens_predicted_total"]
    took = "llamacpp:tokens_predicted_seconds_total"
    assert sick[took] - well[took] > 3 * well[took]
    assert sick["llamacpp:n_decode_total"] == 2 * well["llamacpp:n_decode_total"]
    assert sick["llamacpp:requests_processing"] == 0


def answer(start: float, first: float, total: float, flaw: str = "") -> Answer:
    return Answer(start, start, start + total, start + first, flaw)


def test_slow_is_five_times_the_median_of_good_answers() -> None:
    before = [answer(i, 0.02, 0.1) for i in range(9)] + [answer(10, 5, 9, "cut")] * 20
    normal = Normal.of(before)
    assert normal.total == pytest.approx(0.1)
    assert not normal.exceeded_by(answer(0, 0.09, 0.49))
    assert normal.exceeded_by(answer(0, 0.11, 0.2))
    assert normal.exceeded_by(answer(0, 0.02, 0.51))


def test_time_counts_from_when_a_request_was_meant_to_leave() -> None:
    held_up = Answer(intended=10.0, sent=12.0, ended=12.1, first_token=12.02)
    assert held_up.total == pytest.approx(2.1)
    assert held_up.time_to_first_token == pytest.approx(2.02)


def test_without_a_good_answer_there_is_no_normal() -> None:
    with pytest.raises(RuntimeError, match="HTTP 503"):
        Normal.of([answer(0, 0.1, 0.1, "HTTP 503")])
