"""Vagus among the tools that people have: each is the real one, in a process of its own.

An application with prometheus_client is scraped; another one is scraped by a Prometheus, which
sends it on by remote write; OpenTelemetry's SDK pushes. All of it is in the recording. The
Prometheus scrapes Vagus too, runs the alert rules of deploy/, and is learnt from afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(None in (PROMETHEUS, PROMTOOL), reason="needs Debian's package prometheus"),
]

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 180.0  # s; a busy machine takes long
RUNNING, TOKENS = "vagus.server.requests.running", "vagus.server.tokens.output"
TTFT = "gen_ai.server.time_to_first_token"

APPLICATION = """
import sys, time
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

made = []
for prefix, port in (("app_", sys.argv[1]), ("vllm:", sys.argv[2])):
    mine = CollectorRegistry()
    Gauge(prefix + "num_requests_running", "now", registry=mine).set(3)
    tokens = Counter(prefix + "generation_tokens", "out", registry=mine)
    first = Histogram(prefix + "time_to_first_token_seconds", "of an answer", registry=mine)
    start_http_server(int(port), "127.0.0.1", mine)
    made.append((tokens, first))
while True:
    for tokens, first in made:
        tokens.inc(50)
        first.observe(0.2)
    time.sleep(0.1)
"""

VAGUS = """
stack:
  scraped:
    kind: cache
    replicas: {{scraped-1: "http://127.0.0.1:{scraped}"}}
    metrics:
      app_num_requests_running: [{{signal: vagus.server.requests.running}}]
      app_generation_tokens_total: [{{signal: vagus.server.tokens.output}}]
      app_time_to_first_token_seconds: [{{signal: gen_ai.server.time_to_first_token}}]
  written:
    kind: cache
    engine: vllm
    metrics_path: ""
    replicas: {{written-1: "http://127.0.0.1:{written}"}}
  pushed:
    kind: cache
    metrics_path: ""
    replicas: {{pushed-1: "http://127.0.0.1:9"}}
mode: "off"
api: {{port: {api}}}
telemetry: {{history: ./history, otlp_port: {otlp}}}
"""

PROMETHEUS_YML = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: vllm
    static_configs: [{{targets: ["127.0.0.1:{written}"]}}]
  - job_name: vagus
    static_configs: [{{targets: ["127.0.0.1:{api}"]}}]
remote_write:
  - url: http://127.0.0.1:{otlp}/api/v1/write
    queue_config: {{batch_send_deadline: 200ms}}
"""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.2)


def free_ports(*names: str) -> dict[str, int]:
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in names]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return {name: s.getsockname()[1] for name, s in zip(names, taken, strict=True)}


@contextmanager
def process(*words: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Ended in the end; what it said stays in ``log``."""
    with log.open("wb") as said:
        running = subprocess.Popen(words, stdout=said, stderr=said)
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(30)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


def vagus(folder: Path, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "vagus", *words, "-c", str(folder / "vagus.yaml"), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def recorded(folder: Path, *words: str) -> Mapping[tuple[str, str], float]:
    """(subject, signal) -> its mean over everything."""
    rows = vagus(folder, "query", "*", "--since", "12h", "--every", "1w", *words)["rows"]
    return {(row["subject"], row["signal"]): row["mean"] for row in rows}


def with_a_past(tsdb: Path, port: int) -> None:
    """What this Prometheus would have, had it scraped a vLLM for the last eight hours."""
    assert PROMTOOL is not None
    now = time.time() // 15 * 15
    times = [now - 15 * n for n in range(8 * 240, 0, -1)]
    who = f'{{instance="127.0.0.1:{port}",job="vllm"}}'
    running = [f"vllm_num_requests_running{who} 2 {t}" for t in times]
    tokens = [f"vllm_generation_tokens_total{who} {25 * n} {t}" for n, t in enumerate(times)]
    file = tsdb.with_name("past.txt")
    kinds = ("# TYPE vllm_num_requests_running gauge", "# TYPE vllm_generation_tokens counter")
    file.write_text("\n".join([kinds[0], *running, kinds[1], *tokens, "# EOF", ""]))
    made = (PROMTOOL, "tsdb", "create-blocks-from", "openmetrics", str(file), str(tsdb))
    subprocess.run(made, check=True, capture_output=True)


def asked(port: int, path: str, **parameters: str) -> Any:
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]


def value_of(port: int, query: str) -> float | None:
    result = asked(port, "query", query=query)["result"]
    return float(result[0]["value"][1]) if result else None


@contextmanager
def pushing(port: int) -> Iterator[None]:
    """OpenTelemetry's SDK, as an application of the stack has it."""
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(f"http://127.0.0.1:{port}/v1/metrics"), export_interval_millis=500
    )
    resource = Resource({"service.name": "pushed", "service.instance.id": "pushed-1"})
    provider = MeterProvider([reader], resource)
    meter = provider.get_meter("test")
    meter.create_gauge(RUNNING, "{request}").set(5)
    meter.create_histogram(TTFT, "s").record(0.2)
    try:
        yield
    finally:
        provider.shutdown()


def test_what_people_have_feeds_vagus_and_reads_it(tmp_path: Path) -> None:
    assert PROMETHEUS is not None
    ports = free_ports("scraped", "written", "api", "otlp", "prometheus")
    rules = ROOT / "deploy" / "prometheus" / "vagus.rules.yaml"
    (tmp_path / "vagus.yaml").write_text(VAGUS.format(**ports))
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS_YML.format(rules=rules, **ports))
    everything = {
        *(("scraped/scraped-1", name) for name in (RUNNING, TOKENS, TTFT)),
        *(("written/written-1", name) for name in (RUNNING, TOKENS, TTFT)),
        ("pushed/pushed-1", RUNNING),
    }
    with_a_past(tmp_path / "tsdb", ports["written"])
    with ExitStack() as stack:
        start = stack.enter_context
        application = (str(ports["scraped"]), str(ports["written"]))
        start(process(sys.executable, "-c", APPLICATION, *application, log=tmp_path / "app.log"))
        words = ("-m", "vagus", "run", "-c", str(tmp_path / "vagus.yaml"), "--json")
        run = start(process(sys.executable, *words, log=tmp_path / "vagus.log"))
        start(
            process(
                PROMETHEUS,
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/tsdb",
                f"--web.listen-address=127.0.0.1:{ports['prometheus']}",
                log=tmp_path / "prometheus.log",
            )
        )
        until(lambda: _answers(ports["api"]) or _ended(run, tmp_path))
        start(pushing(ports["otlp"]))
        until(lambda: (tmp_path / "history").is_dir())
        until(lambda: everything <= recorded(tmp_path).keys())
        seen = recorded(tmp_path)
        for subject, requests in (("scraped/scraped-1", 3), ("written/written-1", 3)):
            assert seen[subject, RUNNING] == requests
            assert seen[subject, TOKENS] > 0
            assert 0.1 <= seen[subject, TTFT] <= 0.25, "the bucket of 0.2"
        assert seen["pushed/pushed-1", RUNNING] == 5

        port = ports["prometheus"]
        until(lambda: value_of(port, 'up{job="vagus"}') == 1)
        until(lambda: (value_of(port, "vagus_evidence_total") or 0) > 0)
        until(lambda: value_of(port, 'vagus_mode{mode="off"}') == 1)
        metadata = asked(port, "targets/metadata", metric="vagus_rejections_total")
        assert metadata[0]["type"] == "counter"
        (group,) = asked(port, "rules")["groups"]
        assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
        assert "VagusDown" in {rule["name"] for rule in group["rules"]}

        address = f"http://127.0.0.1:{port}"
        learned = vagus(tmp_path, "learn", "--from", address, "--days", "0.25")
        assert learned["values"] > 0
        past = recorded(tmp_path, "--folder", str(tmp_path / "history" / "learned"))
        assert past["written/written-1", RUNNING] == 2
        assert past["written/written-1", TOKENS] == pytest.approx(25 / 15, rel=0.01)
        assert ("scraped/scraped-1", RUNNING) not in past, "that Prometheus does not know it"

        run.send_signal(signal.SIGINT)
        assert run.wait(60) == 0, (tmp_path / "vagus.log").read_text()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
            return True
    except OSError:
        return False


def _ended(run: subprocess.Popen[bytes], folder: Path) -> bool:
    assert run.poll() is None, (folder / "vagus.log").read_text()
    return False
