"""Envoy's own counters as evidence, from an admin that comes, lies and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from vagus.adapters.envoy.stats import SIGNALS, EnvoyStatsSource
from vagus.clock import ManualClock
from vagus.config import EnvoySettings, Kind
from vagus.model import Evidence, Scrape, Sense, Subject
from vagus.model.signals import SIGNALS as CATALOGUE
from vagus.topology import ComponentNode, Topology

CHAT_1, CHAT_2 = Subject("chat", "chat-1"), Subject("chat", "chat-2")
STACK = Topology(
    {
        "chat": ComponentNode(
            "chat",
            Kind.MODEL_SERVER,
            "generic",
            {"chat-1": "http://127.0.0.1:32101", "chat-2": "http://127.0.0.1:32102"},
        )
    }
)


def host(port: int, stats: dict[str, object], **health: bool) -> dict[str, object]:
    # As Envoy writes them: numbers as strings, and what is zero without a value.
    counted = [{"name": n, **({"value": v} if v else {})} for n, v in stats.items()]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {"address": address, "stats": counted, "health_status": health}


class Beating(ManualClock):
    """Stands still until the next beat, and says when the source has gone to sleep again."""

    def __init__(self) -> None:
        super().__init__(1_000.0)
        self.asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asleep.set()
        await super().sleep(seconds)

    async def beat(self) -> None:
        self.asleep.clear()
        self.advance(1.0)
        await asyncio.wait_for(self.asleep.wait(), 10)


class Bench:
    def __init__(self) -> None:
        self.answer: object = {}
        self.told: list[Evidence] = []
        self.silences: list[tuple[str, str]] = []
        self.clock = Beating()
        self.source: EnvoyStatsSource
        self.site: web.TCPSite
        self.stop: Callable[[], Awaitable[None]]

    async def clusters(self, request: web.Request) -> web.Response:
        assert request.query == {"format": "json"}
        if isinstance(self.answer, dict):
            return web.json_response(self.answer)
        return web.Response(text=str(self.answer), content_type="text/html")

    def emit(self, batch: Sequence[Evidence]) -> None:
        self.told.extend(batch)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench()
    app = web.Application()
    app.add_routes([web.get("/clusters", bench.clusters)])
    runner = web.AppRunner(app)
    await runner.setup()
    bench.site = web.TCPSite(runner, "127.0.0.1", 0)
    await bench.site.start()
    bench.stop = runner.cleanup
    async with aiohttp.ClientSession() as session:
        settings = EnvoySettings(admin=bench.site.name, dir=tmp_path)
        bench.source = EnvoyStatsSource(
            settings,
            session,
            bench.clock,
            lambda: STACK,
            lambda where, why: bench.silences.append((where, why)),
            interval=1.0,
        )
        running = asyncio.create_task(bench.source.run(bench.emit))
        await asyncio.wait_for(bench.clock.asleep.wait(), 10)
        bench.told.clear()
        bench.silences.clear()
        yield bench
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
    await bench.stop()


def clusters(*hosts: object) -> dict[str, object]:
    return {"cluster_statuses": [{"name": "chat", "host_statuses": list(hosts)}]}


async def test_each_endpoint_is_read_under_the_canonical_names(bench: Bench) -> None:
    counted = {"rq_active": "2", "rq_total": "90", "rq_error": 0, "cx_connect_fail": "3", "x": "1"}
    bench.answer = clusters(host(32101, counted), host(32102, {}), host(32199, counted))
    await bench.clock.beat()
    values = {
        "vagus.gateway.requests.active": 2.0,
        "vagus.gateway.requests": 90.0,
        "vagus.gateway.requests.failed": 0.0,
        "vagus.gateway.connect_failures": 3.0,
    }
    assert bench.told == [
        Scrape(CHAT_1, 1_001.0, values=values, sense=Sense.GATEWAY),
        Scrape(CHAT_2, 1_001.0, values={}, sense=Sense.GATEWAY),
    ]
    await bench.clock.beat()
    assert [e.at for e in bench.told] == [1_001.0] * 2 + [1_002.0] * 2


def test_its_names_are_in_the_catalogue() -> None:
    assert set(SIGNALS.values()) <= set(CATALOGUE)


async def test_whom_envoy_holds_out_is_kept(bench: Bench) -> None:
    bench.answer = clusters(host(32101, {}, failed_outlier_check=True), host(32102, {}))
    await bench.clock.beat()
    assert bench.source.ejected == {CHAT_1}
    bench.answer = clusters(host(32101, {}), host(32102, {}, failed_active_health_check=True))
    await bench.clock.beat()
    assert bench.source.ejected == {CHAT_2}


@pytest.mark.parametrize("lie", ["<html>", "[]", '{"cluster_statuses": [3]}', "9" * 5000])
async def test_an_admin_that_lies_is_told_of_and_the_source_goes_on(bench: Bench, lie: str) -> None:
    bench.answer = clusters(host(32101, {}, failed_outlier_check=True))
    await bench.clock.beat()
    bench.told.clear()

    bench.answer = lie
    await bench.clock.beat()
    ((where, why),) = bench.silences
    assert where.startswith(bench.site.name)
    assert why.startswith("answers")
    assert bench.told == []
    assert bench.source.ejected == {CHAT_1}

    bench.answer = clusters(host(32101, {}))
    await bench.clock.beat()
    assert len(bench.told) == 1
    assert bench.source.ejected == frozenset()


async def test_an_admin_that_is_away_is_told_of_and_the_source_goes_on(bench: Bench) -> None:
    name = bench.site.name
    await bench.stop()
    for _ in range(2):
        await bench.clock.beat()
    assert [where for where, _ in bench.silences] == [f"{name}/clusters"] * 2
    assert bench.told == []
