"""The past, from a Prometheus: one that we play, and a real one where there is one."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from vagus._engines import Meaning
from vagus.clock import Clock, ManualClock, SystemClock
from vagus.config import Kind
from vagus.errors import MalformedData, SourceError, TargetUnreachable
from vagus.model import Sense, Subject, signals
from vagus.model.series import SeriesKey
from vagus.telemetry.backfill import ATTEMPTS, CHUNK, Backfill
from vagus.telemetry.dialects import dialect_of
from vagus.telemetry.history import blocks
from vagus.telemetry.promql import queries
from vagus.topology import ComponentNode, Topology

CHAT = ("127.0.0.1:34101", "127.0.0.1:34102")
STACK = Topology(
    {
        "chat": ComponentNode(
            "chat",
            Kind.MODEL_SERVER,
            "vllm",
            {"chat-1": f"http://{CHAT[0]}", "chat-2": f"http://{CHAT[1]}"},
        )
    }
)
STEP = 60.0
Answers = Callable[[str, float, float], object]


class Prometheus:
    """Answers every query as ``answers`` says, and keeps them."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float]] = []
        self.answers: Answers = running
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        asked = await request.post()
        query, start, end = (str(asked[name]) for name in ("query", "start", "end"))
        self.asked.append((query, float(start)))
        told = self.answers(query, float(start), float(end))
        if isinstance(told, web.Response):
            return told
        return web.json_response({"status": "success", "data": {"result": told}})


def running(query: str, start: float, end: float) -> object:
    if "num_requests_running" not in query:
        return []
    times = np.arange(start, end + 1, STEP)
    return [
        {"metric": {"instance": host}, "values": [[t, str(10 * n + t % 7)] for t in times.tolist()]}
        for n, host in enumerate((*CHAT, "127.0.0.1:1"))
    ]


@pytest.fixture
async def prometheus() -> AsyncIterator[Prometheus]:
    played = Prometheus()
    application = web.Application()
    application.add_routes([web.post("/api/v1/query_range", played.handle)])
    runner = web.AppRunner(application, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    played.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield played
    await runner.cleanup()


async def learn(
    url: str,
    folder: Path,
    *,
    days: float = 0.25,
    clock: Clock | None = None,
    stack: Topology = STACK,
) -> list[tuple[int, int, int]]:
    told: list[tuple[int, int, int]] = []
    async with aiohttp.ClientSession() as session:
        backfill = Backfill(url, folder, stack, session, clock or ManualClock(), step=STEP)
        await backfill.run(days, lambda *progress: told.append(progress))
    return told


def key(replica: str, signal: str) -> SeriesKey:
    return SeriesKey(Subject("chat", replica), signal, Sense.SCRAPE)


async def test_the_past_becomes_blocks(prometheus: Prometheus, tmp_path: Path) -> None:
    told = await learn(prometheus.url, tmp_path)
    assert [done for done, _, _ in told] == [0, 1, 2, 3]
    found = list(blocks(tmp_path, columns=100))
    at = np.concatenate([block.at for block in found])
    assert len(at) == 3 * CHUNK / STEP
    assert (np.diff(at) == STEP).all()
    assert max(len(block.at) for block in found) == 100
    for block in found:
        assert set(block.series) == {key(f"chat-{n}", signals.RUNNING) for n in (1, 2)}
        row = block.series.index(key("chat-2", signals.RUNNING))
        assert block.values[:, row] == pytest.approx(10 + block.at % 7)
    assert len(next(blocks(tmp_path, since=at[5], until=at[9])).at) == 5


async def test_it_goes_on_where_it_was_interrupted(prometheus: Prometheus, tmp_path: Path) -> None:
    def breaks(query: str, start: float, end: float) -> object:
        if len({asked for _, asked in prometheus.asked}) > 1:
            return web.Response(status=422, text=json.dumps({"status": "error", "error": "no"}))
        return running(query, start, end)

    prometheus.answers = breaks
    with pytest.raises(SourceError, match="no"):
        await learn(prometheus.url, tmp_path)
    prometheus.answers, prometheus.asked = running, []
    told = await learn(prometheus.url, tmp_path)
    assert [done for done, _, _ in told] == [1, 2, 3]
    assert len({start for _, start in prometheus.asked}) == 2
    assert len(np.concatenate([block.at for block in blocks(tmp_path)])) == 3 * CHUNK / STEP


async def test_ratios_are_made_and_parts_put_together(
    prometheus: Prometheus, tmp_path: Path
) -> None:
    def hits(query: str, start: float, end: float) -> object:
        value = {"prefix_cache_hits": "3", "prefix_cache_queries": "4"}
        name = next((name for name in value if name in query), "")
        if "usage_perc" in query:
            return [{"metric": {"instance": CHAT[0]}, "values": [[start, "0.5"]]}]
        if not name:
            return []
        return [{"metric": {"instance": CHAT[0]}, "values": [[start, value[name]]]}]

    prometheus.answers = hits
    await learn(prometheus.url, tmp_path, days=0.01)
    (block,) = blocks(tmp_path)
    told = dict(zip(block.series, block.values[0].tolist(), strict=True))
    assert told[key("chat-1", signals.PREFIX_HIT_RATIO)] == 0.75
    assert told[key("chat-1", signals.KV_CACHE)] == 0.5  # two names of one thing, told twice


@pytest.mark.parametrize(
    "told",
    [
        web.Response(text="<html>"),
        web.Response(text="[]"),
        web.Response(text='{"status": "success", "data": {"result": [{"values": [[1]]}]}}'),
        web.Response(text='{"status": "success", "data": {"result": [{"values": [["x", "1"]]}]}}'),
    ],
)
async def test_what_is_no_prometheus_is_said(
    prometheus: Prometheus, tmp_path: Path, told: web.Response
) -> None:
    text = told.text
    prometheus.answers = lambda query, start, end: web.Response(text=text)
    with pytest.raises(MalformedData, match="as a Prometheus does"):
        await learn(prometheus.url, tmp_path)
    assert list(blocks(tmp_path)) == []


async def test_what_is_not_finite_is_missing(prometheus: Prometheus, tmp_path: Path) -> None:
    def odd(query: str, start: float, end: float) -> object:
        values = [[start + i * STEP, v] for i, v in enumerate(("1", "NaN", "+Inf", "2"))]
        return [{"metric": {"instance": CHAT[0]}, "values": values}] if "running" in query else []

    prometheus.answers = odd
    await learn(prometheus.url, tmp_path, days=0.01)
    (block,) = blocks(tmp_path)
    assert block.values[:, 0].tolist() == [1, 2]


class Hurried(ManualClock):
    """Its sleepers don't wait."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)


async def test_who_does_not_answer_is_asked_again_and_then_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    clock = Hurried()
    before = clock.now()
    with pytest.raises(TargetUnreachable) as caught:
        await learn(f"http://127.0.0.1:{port}", tmp_path, clock=clock)
    assert caught.value.where == f"http://127.0.0.1:{port}/api/v1/query_range"
    assert clock.now() - before >= ATTEMPTS - 1


def test_a_dialect_as_promql() -> None:
    own = {
        "m": (
            Meaning(
                signal=signals.DURATION, scale=0.001, where={"op": "se?r*"}, unless={"x": "a.b"}
            ),
        )
    }
    (query,) = queries(dialect_of("generic", own), ["h-1:80", "h:81"], 15.0)
    assert query.expression == (
        r"histogram_quantile(0.5, sum by (instance, le) (rate(m_bucket{instance=~`h\-1:80|h:81`, "
        r"op=~`se.r.*`, x!~`a\.b`}[60s]))) * 0.001"
    )


def test_a_colon_may_have_been_escaped() -> None:
    own = {"e:m": (Meaning(signal=signals.RUNNING, scale=2.0),)}
    (query,) = queries(dialect_of("generic", own), ["h:80"], 15.0)
    assert query.expression == (
        "(sum by (instance) (e:m{instance=~`h:80`}) or sum by (instance) (e_m{instance=~`h:80`}))"
        " * 2.0"
    )


# --- a real one -----------------------------------------------------------------------------------

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")


def past(now: float) -> str:
    """Six hours of one replica, in OpenMetrics."""
    began = now // CHUNK * CHUNK - 3 * CHUNK
    times = [began + 15 * n for n in range(int(3 * CHUNK / 15))]
    host = f'instance="{CHAT[0]}",model_name="m"'
    lines = ["# TYPE vllm:num_requests_running gauge"]
    lines += [f"vllm:num_requests_running{{{host}}} {math.sin(t / 900) + 2} {t}" for t in times]
    lines += ["# TYPE vllm:generation_tokens counter"]
    lines += [f"vllm:generation_tokens_total{{{host}}} {25 * n} {t}" for n, t in enumerate(times)]
    lines += ["# TYPE vllm:time_to_first_token_seconds histogram"]
    for le, share in (("0.5", 0.0), ("1.0", 1.0), ("+Inf", 1.0)):
        name = "vllm:time_to_first_token_seconds_bucket"
        lines += [f'{name}{{{host},le="{le}"}} {10 * n * share} {t}' for n, t in enumerate(times)]
    return "\n".join([*lines, "# EOF", ""])


@pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None, reason="needs Debian's package prometheus"
)
async def test_a_real_prometheus_fills_it(tmp_path: Path) -> None:
    assert PROMETHEUS is not None
    assert PROMTOOL is not None
    clock = SystemClock()
    (tmp_path / "past.txt").write_text(past(clock.now()))
    made = await asyncio.create_subprocess_exec(
        PROMTOOL,
        *("tsdb", "create-blocks-from", "openmetrics"),
        *(str(tmp_path / "past.txt"), str(tmp_path / "data")),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await made.wait() == 0
    (tmp_path / "prometheus.yml").write_text("global: {}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    prometheus = await asyncio.create_subprocess_exec(
        PROMETHEUS,
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        async with asyncio.timeout(90), aiohttp.ClientSession() as session:
            while not await _is_ready(session, url):
                await clock.sleep(0.1)
        folder = tmp_path / "learned"
        await learn(url, folder, clock=clock)
    finally:
        prometheus.terminate()
        await prometheus.wait()
    seen: dict[str, list[float]] = {}
    for block in blocks(folder):
        for index, series in enumerate(block.series):
            assert series is not None
            seen.setdefault(series.signal, []).extend(block.values[:, index].tolist())
    assert np.nanmean(seen[signals.RUNNING]) == pytest.approx(2.0, abs=0.5)
    assert np.nanmedian(seen[signals.TOKENS_OUT]) == pytest.approx(25 / 15, rel=0.01)
    assert np.nanmedian(seen[signals.TIME_TO_FIRST_TOKEN]) == pytest.approx(0.75, rel=0.01)


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/-/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
