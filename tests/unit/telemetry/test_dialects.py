"""Engines' metrics as signals, on what real engines told."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from vagus._engines import Meaning, known_engines
from vagus.clock import ManualClock
from vagus.errors import ConfigError
from vagus.lab import metrics
from vagus.lab.metrics import Counter, Gauge, exposition
from vagus.model import Histogram, signals
from vagus.telemetry.dialects import dialect_of, dialects, parse
from vagus.telemetry.exposition import Parser
from vagus.telemetry.translate import Translated, Translator

RECORDED = Path(__file__).parents[2] / "data" / "expositions"


def translated(engine: str, *texts: str) -> dict[str, float]:
    """What the last of ``texts`` says."""
    parser = Parser()
    translator = Translator(dialect_of(engine), parser)
    return [translator.translate(parser.parse(text.encode())).values for text in texts][-1]


def histograms(engine: str, text: str) -> dict[str, Histogram]:
    parser = Parser()
    return Translator(dialect_of(engine), parser).translate(parser.parse(text.encode())).histograms


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


def test_vllms_histograms() -> None:
    told = histograms("vllm", (RECORDED / "vllm-0.32-cpu.txt").read_text())
    first = told[signals.TIME_TO_FIRST_TOKEN]
    assert first.bounds[:4] == (0.001, 0.005, 0.01, 0.02)
    assert sum(first.counts) == first.counts[3] == 1  # one request, 18 ms
    assert told.keys() == {
        signals.TIME_TO_FIRST_TOKEN,
        signals.TIME_PER_TOKEN,
        signals.DURATION,
        signals.QUEUE_TIME,
    }


def test_vllm_with_several_engines() -> None:
    both = "".join(
        f'vllm:num_requests_running{{engine="{e}",model_name="m"}} {running}\n'
        f'vllm:kv_cache_usage_perc{{engine="{e}",model_name="m"}} {used}\n'
        f'vllm:time_to_first_token_seconds_bucket{{engine="{e}",le="1",model_name="m"}} {n}\n'
        f'vllm:time_to_first_token_seconds_bucket{{engine="{e}",le="+Inf",model_name="m"}} {n}\n'
        for e, running, used, n in ((0, 3, 0.2, 5), (1, 4, 0.9, 7))
    )
    told = translated("vllm", both)
    assert told == {signals.RUNNING: 7, signals.KV_CACHE: 0.9}
    assert histograms("vllm", both)[signals.TIME_TO_FIRST_TOKEN] == Histogram((1.0,), (12.0, 0.0))


def test_a_colon_that_was_escaped_on_the_way() -> None:
    """Any vLLM with a present prometheus_client, as Prometheus 2 stores it."""
    text = (RECORDED / "vllm-0.32-cpu.txt").read_text()
    other = text.replace("vllm:", "vllm_")
    assert translated("vllm", other) == translated("vllm", text) != {}
    assert histograms("vllm", other) == histograms("vllm", text) != {}


def test_redis() -> None:
    told = translated("redis", (RECORDED / "redis-exporter-1.45.txt").read_text())
    assert told[signals.CACHE_HITS] == 5
    assert told[signals.CACHE_MISSES] == 1
    assert told[signals.CACHE_KEYS] == 5
    assert told[signals.REQUESTS] == told[signals.STEPS] == 14
    assert told.keys() >= {signals.FAILED, signals.WAITING, signals.CACHE_EVICTIONS}


def test_envoy() -> None:
    text = (RECORDED / "envoy-1.40.txt").read_text()
    told = translated("envoy", text)
    assert (told[signals.REQUESTS], told[signals.FAILED]) == (
        13,
        6,
    )  # the admin's own are not in it
    assert told[signals.CONNECT_FAILURES] == 6
    assert histograms("envoy", text)[signals.DURATION].bounds[0] == 0.0005


@pytest.mark.parametrize(
    ("engine", "text", "values"),
    [
        (
            "sglang",
            'sglang:num_running_reqs{tp_rank="0"} 3\nsglang:token_usage{tp_rank="0"} 0.4\n'
            'sglang:cache_hit_rate{tp_rank="0"} 0.5\n'
            'sglang:cuda_graph_passes_total{mode="decode_none"} 7\n'
            'sglang:cuda_graph_passes_total{mode="prefill_none"} 2\n',
            {
                signals.RUNNING: 3,
                signals.KV_CACHE: 0.4,
                signals.PREFIX_HIT_RATIO: 0.5,
                signals.STEPS: 9,
            },
        ),
        (
            "tgi",
            'tgi_queue_size 2\ntgi_request_failure{err="overloaded"} 4\n'
            "tgi_request_generated_tokens_sum 90\n",
            {signals.WAITING: 2, signals.FAILED: 4, signals.TOKENS_OUT: 90},
        ),
        (
            "triton",
            'nv_inference_request_success{model="m",version="1"} 5\n'
            'nv_inference_request_failure{model="m",version="1",reason="OTHER"} 1\n'
            'nv_inference_request_duration_us{model="m",version="1"} 2500000\n'
            'nv_gpu_utilization{gpu_uuid="a"} 0.2\nnv_gpu_utilization{gpu_uuid="b"} 0.6\n',
            {
                signals.REQUESTS: 6,
                signals.FAILED: 1,
                signals.DURATION_TOTAL: 2.5,
                signals.GPU_UTILIZATION: 0.4,
            },
        ),
        (
            "qdrant",
            'rest_responses_total{method="POST",endpoint="/collections/{name}/points/search",'
            'status="200"} 9\n'
            'rest_responses_total{method="POST",endpoint="/x",status="500"} 1\n'
            'collection_points{id="a"} 10\ncollection_points{id="b"} 20\n',
            {signals.REQUESTS: 10, signals.FAILED: 1, signals.VECTORS: 30},
        ),
        (
            "milvus",
            'milvus_proxy_req_count{function_name="Search",status="total"} 9\n'
            'milvus_proxy_req_count{function_name="Search",status="fail"} 2\n',
            {signals.REQUESTS: 9, signals.FAILED: 2},
        ),
        (
            "weaviate",
            'concurrent_queries_count{class_name="A",query_type="get_graphql"} 2\n'
            'object_count{class_name="A",shard_name="s"} 100\n',
            {signals.RUNNING: 2, signals.VECTORS: 100},
        ),
        (
            "dcgm-exporter",
            'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 50\nDCGM_FI_DEV_GPU_UTIL{gpu="1"} 100\n'
            'DCGM_FI_DEV_FB_USED{gpu="0"} 2\nDCGM_FI_DEV_XID_ERRORS{gpu="0"} 0\n'
            'DCGM_FI_DEV_XID_ERRORS{gpu="1"} 79\nDCGM_FI_DEV_GPU_TEMP{gpu="1"} 60\n',
            {
                signals.GPU_UTILIZATION: 0.75,
                signals.GPU_MEMORY_USED: 2 * 2**20,
                signals.GPU_XID: 79,
                signals.GPU_TEMPERATURE: 60,
            },
        ),
    ],
)
def test_engines_that_no_recording_exists_of(
    engine: str, text: str, values: dict[str, float]
) -> None:
    assert translated(engine, text) == pytest.approx(values)


@pytest.mark.parametrize(
    ("engine", "metric", "labels", "signal", "bound"),
    [
        ("sglang", "sglang:time_to_first_token_seconds", "", signals.TIME_TO_FIRST_TOKEN, 8.0),
        ("tgi", "tgi_request_duration", "", signals.DURATION, 8.0),
        (
            "triton",
            "nv_inference_first_response_histogram_ms",
            'model="m",',
            signals.TIME_TO_FIRST_TOKEN,
            0.008,
        ),
        (
            "qdrant",
            "rest_responses_duration_seconds",
            'endpoint="/collections/{name}/points/query",',
            signals.SEARCH_DURATION,
            8.0,
        ),
        (
            "milvus",
            "milvus_proxy_sq_latency",
            'query_type="search",',
            signals.SEARCH_DURATION,
            0.008,
        ),
        ("weaviate", "queries_durations_ms", 'class_name="A",', signals.SEARCH_DURATION, 0.008),
    ],
)
def test_histograms_that_no_recording_exists_of(
    engine: str, metric: str, labels: str, signal: str, bound: float
) -> None:
    text = f'{metric}_bucket{{{labels}le="8"}} 3\n{metric}_bucket{{{labels}le="+Inf"}} 4\n'
    (told,) = histograms(engine, text).items()
    assert told == (signal, Histogram((pytest.approx(bound),), (3.0, 1.0)))


@pytest.mark.parametrize(
    "buckets",
    [
        'h_bucket{le="1"} 3\n',  # no last one
        'h_bucket{le="x"} 3\nh_bucket{le="+Inf"} 4\n',
        'h_bucket{le="1"} 5\nh_bucket{le="+Inf"} 4\n',  # fewer in all than below
        'h_bucket{le="1"} NaN\nh_bucket{le="+Inf"} 4\n',
    ],
)
def test_buckets_that_make_no_histogram_are_counted(buckets: str) -> None:
    own = {"h": (Meaning(signal=signals.DURATION),), "g": (Meaning(signal=signals.RUNNING),)}
    parser = Parser()
    translator = Translator(dialect_of("generic", own), parser)
    told = translator.translate(parser.parse(f"{buckets}g 1\n".encode()))
    assert told == Translated({signals.RUNNING: 1.0}, {})
    assert translator.rejected == 1


def test_buckets_that_differ_are_not_added() -> None:
    own = {"h": (Meaning(signal=signals.DURATION),)}
    parser = Parser()
    translator = Translator(dialect_of("generic", own), parser)
    text = "".join(
        f'h_bucket{{le="{le}",m="{m}"}} {n}\n'
        for m, le, n in (("a", 1, 1), ("a", "+Inf", 2), ("b", 2, 5), ("b", "+Inf", 9))
    )
    told = translator.translate(parser.parse(text.encode())).histograms
    assert told == {signals.DURATION: Histogram((1.0,), (1.0, 1.0))}
    assert translator.rejected == 1


def test_the_users_own_mapping_comes_before_the_dialects() -> None:
    own = {
        "llamacpp:requests_processing": (Meaning(signal=signals.WAITING),),
        "mine": (Meaning(signal=signals.KV_CACHE, scale=0.01),),
    }
    parser = Parser()
    translator = Translator(dialect_of("llama.cpp", own), parser)
    text = "llamacpp:requests_processing 4\nllamacpp:n_decode_total 2\nmine 50\n"
    told = translator.translate(parser.parse(text.encode())).values
    assert told == {signals.WAITING: 4, signals.STEPS: 2, signals.KV_CACHE: 0.5}


def test_a_dialects_file_is_named_for_its_engine() -> None:
    assert set(known_engines()) == dialects().keys()


def test_the_labs_embedding_server() -> None:
    requests = Counter("embed_requests_total", "")
    for code, count in (("200", 5), ("400", 2), ("500", 3), ("503", 1)):
        requests.add(count, code=code)
    texts, duration = (
        Counter("embed_texts_total", ""),
        metrics.Histogram("embed_request_duration_seconds", ""),
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
        assert translator.translate(parser.parse(text.encode())).values == {signals.STEPS: scrape}
    assert parser.epoch > 0


def test_every_dialect_is_valid_and_names_its_engine_once() -> None:
    assert {"generic", "llama.cpp", "vagus-lab-embed", "vllm"} <= dialects().keys()
    for engine, dialect in dialects().items():
        assert dialect.engine == engine


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("engine: x\nverified: true\nmetrics:\n  a: [{signal: moon}]\n", "x.yaml:4", "moon"),
        ("engine: x\nverified: true\nmetrics:\n  a: [{signl: b}]\n", "x.yaml:4", "signl"),
        ("engine: x\nmetrics: {}\n", "x.yaml:1", "verified"),
        (
            "engine: x\nverified: true\nmetrics:\n  a: [{signal: vagus.gateway.attempts}]\n",
            "x.yaml:4",
            "no signal that a metric can be",
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
    assert translator.translate(parser.parse(text.encode())).values == {signals.DURATION_TOTAL: 2.0}


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
