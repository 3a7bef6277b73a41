"""Prometheus's remote write: hand-made requests, and a real Prometheus where there is one."""

from __future__ import annotations

import asyncio
import shutil
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import cramjam
import pytest
from aiohttp import web

from vagus.clock import ManualClock, SystemClock
from vagus.config import Kind
from vagus.errors import MalformedData
from vagus.model import Evidence, Histogram, Scrape, Sense, Subject, signals
from vagus.telemetry.receivers import PushSource, listen
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.remote_write import RemoteWrite, unpacked
from vagus.topology import ComponentNode, Topology

CHAT_1 = Subject("chat", "chat-1")
RECORDED = Path(__file__).parents[2] / "data" / "expositions" / "vllm-0.32-cpu.txt"
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]


def stack(port: int = 34101) -> Topology:
    replicas = {"chat-1": f"http://127.0.0.1:{port}"}
    return Topology({"chat": ComponentNode("chat", Kind.MODEL_SERVER, "vllm", replicas)})


def _field(number: int, body: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    found = b""
    while value >= 0x80:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])


def series(labels: Mapping[str, str], samples: Iterable[tuple[float, int]], instance: str) -> bytes:
    told = {"instance": instance, "job": "x", **labels}
    body = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for name, value in sorted(told.items())
    )
    for value, time in samples:
        body += _field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(time))
    return _field(1, body)


def request(
    values: Mapping[str, float], time: float, instance: str = "127.0.0.1:34101", **labels: str
) -> bytes:
    at = round(time * 1000)
    return b"".join(
        series({"__name__": name, **labels}, [(value, at)], instance)
        for name, value in values.items()
    )


RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"


class Bench:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.rejections = Rejections(self.clock)
        self.writes = RemoteWrite(stack, self.clock, self.rejections)
        self.told: list[Scrape] = []

    def take(self, body: bytes) -> None:
        self.told += self.writes.take(body)[0]

    def say(self, after: float = 1.0, **values: float) -> None:
        self.clock.advance(after)
        names = {"running": RUNNING, "waiting": WAITING}
        self.take(request({names[n]: v for n, v in values.items()}, self.clock.now()))

    def values(self) -> list[Mapping[str, float]]:
        return [scrape.values for scrape in self.told]


def test_one_scrape_is_told_when_the_next_begins_and_then_when_it_is_whole() -> None:
    bench = Bench()
    bench.say(running=1, waiting=2)
    assert bench.told == []  # nobody knows whether there is more
    bench.say(running=3, waiting=4)
    first, second = bench.told
    assert first.values == {signals.RUNNING: 1, signals.WAITING: 2}
    assert (first.subject, first.sense) == (CHAT_1, Sense.PUSH)
    assert second.values == {signals.RUNNING: 3, signals.WAITING: 4}
    assert second.at == pytest.approx(bench.clock.now())


def test_pieces_of_one_scrape_are_put_together() -> None:
    bench = Bench()
    bench.say(running=1, waiting=2)
    for value in (3.0, 5.0):
        bench.say(running=value)
        bench.say(waiting=value + 1, after=0.0)
    assert bench.values() == [
        {signals.RUNNING: r, signals.WAITING: w} for r, w in ((1, 2), (3, 4), (5, 6))
    ]


def test_a_series_that_ended_is_not_told_any_more() -> None:
    bench = Bench()
    bench.say(running=1, waiting=2)
    bench.say(running=STALE, waiting=3)
    bench.say(running=STALE, waiting=4)
    assert bench.values()[1:] == [{signals.WAITING: 3}, {signals.WAITING: 4}]


def test_histograms_and_engines_are_put_together() -> None:
    bench = Bench()
    for count in (1, 2):
        bench.clock.advance(1)
        now = bench.clock.now()
        for engine in ("0", "1"):
            for le in ("1.0", "+Inf"):
                name = "vllm:e2e_request_latency_seconds_bucket"
                bench.take(request({name: count}, now, engine=engine, le=le))
    assert [scrape.histograms for scrape in bench.told] == [
        {signals.DURATION: Histogram((1.0,), (2.0 * n, 0.0))} for n in (1, 2)
    ]


def test_samples_of_the_past_are_counted_and_change_nothing() -> None:
    bench = Bench()
    bench.say(running=1)
    bench.say(running=2)
    bench.take(request({RUNNING: 9}, bench.clock.now()))
    bench.take(request({RUNNING: 9}, bench.clock.now() - 0.5))
    bench.take(request({RUNNING: 9}, bench.clock.now() - 7 * 86400))
    bench.take(request({RUNNING: 9}, bench.clock.now() + 7 * 86400))
    bench.say(running=3)
    assert [v[signals.RUNNING] for v in bench.values()] == [1, 2, 3]
    assert bench.rejections.counts == {Rejected.OUT_OF_ORDER: 2, Rejected.CLOCK_JUMPED: 2}


def test_what_is_not_of_the_stack_says_nothing() -> None:
    bench = Bench()
    for _ in range(3):
        bench.clock.advance(1)
        bench.take(request({RUNNING: 9}, bench.clock.now(), instance="127.0.0.1:1"))
        bench.take(request({"go_goroutines": 9}, bench.clock.now()))
    assert bench.told == []


def test_several_samples_of_one_series() -> None:
    bench = Bench()
    now = round(bench.clock.now() * 1000)
    bench.take(series({"__name__": RUNNING}, [(1, now - 2000), (2, now - 1000)], "127.0.0.1:34101"))
    assert [v[signals.RUNNING] for v in bench.values()] == [1, 2]


@pytest.mark.parametrize("body", [b"\x0a\xff", b"\x0b", b"\x0a\x04\x0a\x08\x0a\x01"])
def test_what_is_no_request(body: bytes) -> None:
    with pytest.raises(MalformedData):
        Bench().writes.take(body)


def test_what_says_that_it_is_huge_is_not_unpacked() -> None:
    with pytest.raises(MalformedData, match="longer"):
        unpacked(_varint(1 << 40) + b"x", 1 << 20)
    packed = bytes(cramjam.snappy.compress_raw(bytes(100)))
    assert unpacked(packed, 1 << 20) == bytes(100)


# --- a real one -----------------------------------------------------------------------------------

PROMETHEUS = shutil.which("prometheus")


@pytest.fixture
async def vllm() -> AsyncIterator[int]:
    """A target that tells what a real vLLM told."""
    text = RECORDED.read_text()

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    application = web.Application()
    application.add_routes([web.get("/metrics", metrics)])
    runner = web.AppRunner(application, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.mark.skipif(PROMETHEUS is None, reason="needs Debian's package prometheus")
async def test_a_real_prometheus_writes_to_us(tmp_path: Path, vllm: int) -> None:
    assert PROMETHEUS is not None
    clock = SystemClock()
    rejections = Rejections(clock)
    listener = listen(0)
    told: list[Evidence] = []
    source = PushSource(listener, lambda: stack(vllm), clock, rejections)
    running = asyncio.create_task(source.run(told.extend))
    (tmp_path / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: vllm
    static_configs: [{{targets: ["127.0.0.1:{vllm}"]}}]
remote_write:
  - url: http://127.0.0.1:{listener.getsockname()[1]}/api/v1/write
    queue_config: {{batch_send_deadline: 200ms}}
"""
    )
    prometheus = await asyncio.create_subprocess_exec(
        PROMETHEUS,
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        "--web.listen-address=127.0.0.1:0",
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(90):
            while len(told) < 3:
                await clock.sleep(0.05)
    finally:
        prometheus.terminate()
        await prometheus.wait()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    last = told[-1]
    assert isinstance(last, Scrape)
    assert last.subject == CHAT_1
    assert last.values[signals.TOKENS_OUT] > 0
    assert sum(last.histograms[signals.TIME_TO_FIRST_TOKEN].counts) == 1
    assert Rejected.MALFORMED_PUSH not in rejections.counts
