"""Engines' metrics as signals, on what real engines told."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from vagus.clock import ManualClock
from vagus.errors import ConfigError
from vagus.lab.metrics import Counter, Gauge, Histogram, exposition
from vagus.telemetry import signals
from vagus.telemetry.dialects import dialect_of, dialects, parse
from vagus.telemetry.exposition import Parser
from vagus.telemetry.translate import Translator

RECORDED = Path(__file__).parents[2] / "data" / "expositions"


def translated(engine: str, *texts: str) -> dict[str, float]:
    """What the last of ``texts`` says."""
    parser = Parser()
    translator = Translator(dialect_of(engine), parser)
    return [translator.signals(parser.parse(text.encode())) for text in texts][-1]


def test_llama_cpp() -> None:
    told = translated("llama.cpp", (RECORDED / "llamacpp.txt").read_text())
    assert told == {
        signals.RUNNING: 0,
        signals.WAITING: 0,
        signals.STEPS: 8,
        signals.TOKENS_IN: 31,
        signals.TOKENS_OUT: 8,
        signals.TOKENS_OUT_TIME: 0.060396,
    }


def test_vllm() -> None:
    told = translated("vllm", (RECORDED / "vllm-0.32-cpu.txt").read_text())
    assert told.keys() >= {
        signals.RUNNING,
        signals.WAITING,
        signals.KV_CACHE,
        signals.STEPS,
        signals.TOKENS_OUT,
    }


def test_the_labs_embedding_server() -> None:
    requests = Counter("embed_requests_total", "")
    for code, count in (("200", 5), ("400", 2), ("500", 3), ("503", 1)):
        requests.add(count, code=code)
    texts, duration = (
        Counter("embed_texts_total", ""),
        Histogram("embed_request_duration_seconds", ""),
    )
    texts.add(7)
    duration.observe(0.25)
    told = translated(
        "vagus-lab-embed",
        exposition(requests, texts, duration, Gauge("embed_requests_in_flight", "", 4)),
    )
    assert told == {
        signals.REQUESTS: 11,
        signals.FAILED: 4,
        signals.STEPS: 7,
        signals.DURATION_TOTAL: 0.25,
        signals.RUNNING: 4,
    }


def test_an_engine_that_nobody_described_says_nothing() -> None:
    assert translated("homemade", "a 1\n") == {}


def test_what_is_told_may_change_from_scrape_to_scrape() -> None:
    running, steps = "llamacpp:requests_processing", "llamacpp:n_decode_total"
    told = translated(
        "llama.cpp",
        f"{running} 1\n{steps} 2\n",
        f"{running} 3\n{steps} 4\n",
        f"other 9\n{steps} 5\nmore 9\n",
    )
    assert told == {signals.STEPS: 5}


def test_a_series_keeps_its_meaning_when_all_are_forgotten() -> None:
    parser = Parser(max_series=4)
    translator = Translator(dialect_of("llama.cpp"), parser)
    for scrape in range(20):
        text = f'once{{n="{scrape}"}} 1\nllamacpp:n_decode_total {scrape}\n'
        assert translator.signals(parser.parse(text.encode())) == {signals.STEPS: scrape}
    assert parser.epoch > 0


def test_every_dialect_is_valid_and_names_its_engine_once() -> None:
    assert {"generic", "llama.cpp", "vagus-lab-embed", "vllm"} <= dialects().keys()
    for engine, dialect in dialects().items():
        assert dialect.engine == engine


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("engine: x\nverified: true\nmetrics:\n  a: [{signal: moon}]\n", "x.yaml:4", "moon"),
        ("engine: x\nverified: true\nmetrics:\n  a: [{signl: b}]\n", "x.yaml:4", "signal: Field"),
        ("engine: x\nmetrics: {}\n", "x.yaml:1", "verified"),
        (
            "engine: x\nverified: true\nmetrics:\n"
            "  a: [{signal: gen_ai.server.time_to_first_token}]\n",
            "x.yaml:4",
            "not a gauge or a counter",
        ),
    ],
)
def test_a_mistake_in_a_dialect_has_its_line(text: str, where: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "x.yaml")
    assert caught.value.where == where
    assert what in caught.value.message


def test_scale_and_labels() -> None:
    dialect = parse(
        "engine: x\nverified: false\nmetrics:\n"
        "  took_ms: [{signal: vagus.server.request.time, scale: 0.001, where: {op: 'se*'}}]\n",
        "x.yaml",
    )
    parser = Parser()
    translator = Translator(dialect, parser)
    text = 'took_ms{op="search"} 1500\ntook_ms{op="set"} 500\ntook_ms{op="get"} 9\ntook_ms 9\n'
    assert translator.signals(parser.parse(text.encode())) == {signals.DURATION_TOTAL: 2.0}


async def test_the_lab_speaks_the_dialect_that_is_written_for_it() -> None:
    embed = pytest.importorskip("vagus.lab.embed", exc_type=ImportError)
    app = embed.EmbeddingServer(None, ManualClock()).app()
    async with TestClient(TestServer(app, port=0)) as client:
        text = await (await client.get("/metrics")).text()
        assert (await client.post("/v1/embeddings", data=b"?")).status == 400
        later = await (await client.get("/metrics")).text()
    idle = translated("vagus-lab-embed", text)
    assert (idle[signals.RUNNING], idle[signals.STEPS], idle[signals.TOKENS_IN]) == (0, 0, 0)
    assert translated("vagus-lab-embed", text, later)[signals.REQUESTS] == 1
