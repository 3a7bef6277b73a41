"""What docs/reference/access-log.md says of the log, asked of the real Envoy."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from vagus.lab import gateway
from vagus.lab.envoy_clusters import HttpCluster, Protection
from vagus.lab.envoy_config import ACCESS_LOG_ROW, Edge
from vagus.lab.hop import reset

pytest.importorskip("envoy", reason="needs the extra 'lab'")

pytestmark = pytest.mark.e2e

PORT, ADMIN = 30180, 30181
PATIENCE = 20.0  # s; never what a test measures, only when it gives up
ROWS = 0.02  # s between two looks at the log

Row = dict[str, object]


@dataclass
class Replica:
    """Answers by the path's last word; ``/stream`` sends a part each time it is told to go on."""

    name: str
    port: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, stack: AsyncExitStack) -> None:
        app = web.Application()
        app.router.add_post("/{kind}", self._answer)
        app.router.add_get("/health", self._health)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", self.port)
        await site.start()
        self.port = runner.addresses[0][1]

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        kind = request.match_info["kind"]
        if kind == "half-bad":
            return web.Response(status=500 if self.name == "half-1" else 200, text=self.name)
        if kind == "page":
            return web.Response(content_type="text/html", text="<p>welcome</p>")
        if kind == "silent":
            await asyncio.sleep(3600)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: one\n\n")
        if kind == "cut":
            await asyncio.sleep(0)
            reset(request)
            return response
        await self.go_on.wait()
        await response.write(b"data: two\n\n")
        return response


class Bench:
    def __init__(self, edge: Edge, session: aiohttp.ClientSession, one: Replica) -> None:
        self.edge = edge
        self.session = session
        self.one = one

    def ask(self, path: str) -> aiohttp.client._RequestContextManager:
        headers = {"x-user-cluster": "eu"}
        return self.session.post(f"http://127.0.0.1:{PORT}{path}", headers=headers)

    async def rows(self, enough: Callable[[list[Row]], object]) -> list[Row]:
        """All rows so far, once there are enough."""
        async with asyncio.timeout(PATIENCE):
            while True:
                text = self.edge.access_log.read_text() if self.edge.access_log.exists() else ""
                rows = [json.loads(line) for line in text.split("\n")[:-1]]
                if enough(rows):
                    return rows
                await asyncio.sleep(ROWS)

    async def ended(self) -> list[Row]:
        return await self.rows(lambda rows: of(rows, "UpstreamEnd"))


def of(rows: list[Row], kind: str, **values: object) -> list[Row]:
    wanted = {"type": kind, **values}.items()
    return [row for row in rows if wanted <= row.items()]


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        one, *half = replicas = [Replica("one-1"), Replica("half-1"), Replica("half-2")]
        for replica in replicas:
            await replica.start(stack)
        plain = Protection.DEFAULT
        edge = Edge(
            tmp_path,
            PORT,
            ADMIN,
            (
                HttpCluster(
                    "one", {"one-1": one.port}, ("/stream", "/cut", "/silent", "/page"), plain
                ),
                HttpCluster("half", {r.name: r.port for r in half}, ("/half-bad",)),
                HttpCluster("none", {"none-1": unused_port()}, ("/none",), plain),
            ),
        )
        gateway.write(edge)
        log = stack.enter_context((tmp_path / "envoy.log").open("wb"))
        process = await asyncio.create_subprocess_exec(
            *gateway.envoy(edge), stdout=log, stderr=log, start_new_session=True
        )

        async def end() -> None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

        stack.push_async_callback(end)
        async with asyncio.timeout(PATIENCE):
            while not await serves(session):
                assert process.returncode is None, (tmp_path / "envoy.log").read_text()
                await asyncio.sleep(ROWS)
        yield Bench(edge, session, one)


async def serves(session: aiohttp.ClientSession) -> bool:
    """Whether Envoy has all clusters and finds every replica healthy."""
    try:
        async with session.get(f"http://127.0.0.1:{ADMIN}/clusters?format=json") as response:
            answer = await response.json(content_type=None)
        async with session.post(f"http://127.0.0.1:{PORT}/nowhere"):
            pass
    except aiohttp.ClientError:
        return False
    hosts = [h for c in answer.get("cluster_statuses", []) for h in c.get("host_statuses", [])]
    return len(hosts) == 4 and not any(
        host["health_status"].get("failed_active_health_check") for host in hosts
    )


async def test_a_stream_has_rows_at_its_start_each_second_and_at_its_end(bench: Bench) -> None:
    async with bench.ask("/stream") as response:
        rows = await bench.rows(lambda rows: len(of(rows, "UpstreamPeriodic")) >= 2)
        bench.one.go_on.set()
        await response.read()
    rows = await bench.ended()
    start, *periodic, end = rows
    assert all(row.keys() == ACCESS_LOG_ROW.keys() for row in rows)
    assert len({(row["id"], row["attempt"], row["t"], row["host"]) for row in rows}) == 1
    assert (start["type"], start["code"], start["bytes"]) == ("UpstreamPoolReady", 0, 0)
    assert (start["attempt"], start["cohort"], start["cluster"]) == ("1", "eu", "one")
    assert {row["type"] for row in periodic} == {"UpstreamPeriodic"}
    first, second = periodic[:2]
    assert first["bytes"] == second["bytes"] != 0  # it stood still in between
    assert isinstance(first["ttft_us"], int)
    assert first["stream_us"] is None
    assert (end["type"], end["code"], end["flags"]) == ("UpstreamEnd", 200, "-")
    assert isinstance(end["stream_us"], int)
    assert end["bytes"] > second["bytes"]  # type: ignore[operator]
    assert end["content_type"] == "text/event-stream"


async def test_a_retry_is_an_attempt_of_its_own_at_another_host(bench: Bench) -> None:
    rows: list[Row] = []
    async with asyncio.timeout(PATIENCE):
        while not of(rows, "UpstreamEnd", attempt="2"):
            async with bench.ask("/half-bad") as response:
                assert (response.status, await response.text()) == (200, "half-2")
            request = response.headers["x-request-id"]
            answered = {"id": request, "code": 200}
            rows = await bench.rows(lambda rows, a=answered: of(rows, "UpstreamEnd", **a))
    first, second = of(rows, "UpstreamEnd", id=request)
    assert (first["attempt"], first["code"], first["ttft_us"]) == ("1", 500, None)
    assert (second["attempt"], second["code"]) == ("2", 200)
    assert first["host"] != second["host"]
    assert second["bytes"] > first["bytes"]  # type: ignore[operator]


async def test_a_stream_that_breaks_is_a_200_with_a_flag(bench: Bench) -> None:
    with pytest.raises(aiohttp.ClientPayloadError):
        async with bench.ask("/cut") as response:
            await response.read()
    (end,) = of(await bench.ended(), "UpstreamEnd")
    assert (end["code"], end["stream_us"]) == (200, None)
    assert end["flags"] in ("UPE", "UC")


async def test_a_silent_replica_and_a_caller_who_leaves(bench: Bench) -> None:
    asked = asyncio.create_task(bench.ask("/silent").__aenter__())
    rows = await bench.rows(lambda rows: len(of(rows, "UpstreamPeriodic")) >= 2)
    assert {(r["code"], r["bytes"], r["ttft_us"]) for r in rows} == {(0, 0, None)}
    assert of(rows, "UpstreamEnd") == []
    asked.cancel()
    with suppress(asyncio.CancelledError):
        await asked
    (end,) = of(await bench.ended(), "UpstreamEnd")
    assert (end["code"], end["flags"], end["stream_us"]) == (0, "-", None)


async def test_a_refused_connection_is_one_row_that_says_so(bench: Bench) -> None:
    async with bench.ask("/none") as response:
        assert response.status == 503
    (end,) = await bench.ended()
    assert (end["type"], end["code"], end["flags"]) == ("UpstreamEnd", 0, "UF")
    assert "refused" in str(end["details"])


async def test_the_content_type_is_the_replicas(bench: Bench) -> None:
    async with bench.ask("/page") as response:
        assert response.status == 200
    (end,) = of(await bench.ended(), "UpstreamEnd")
    assert str(end["content_type"]).startswith("text/html")


async def test_envoy_knows_who_is_at_an_address(bench: Bench) -> None:
    where = f"http://127.0.0.1:{ADMIN}/config_dump?include_eds"
    async with bench.session.get(where) as response:
        dump = await response.text()
    for name in ("one-1", "half-1", "half-2", "none-1"):
        assert f'"replica": "{name}"' in dump
