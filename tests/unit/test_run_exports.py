"""``vagus run``, as a process of its own, pushes what it says of itself, and outlives a kill."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from vagus.clock import SystemClock
from vagus.entries import of_incident
from vagus.metrics import METRICS
from vagus.model import Cause, Finding, Incident, IncidentState, Sense, Subject, Symptom
from vagus.state.db import open_database
from vagus.state.incidents import Incidents
from vagus.state.ledger import Ledger
from vagus.testing.collector import Collector, collecting

DEADLINE = 120.0  # s; a busy machine takes long to start it
CHAT_1 = Subject("chat", "chat-1")
CONFIG = """\
stack: {{chat: {{kind: model-server, replicas: {{chat-1: "http://127.0.0.1:9"}}}}}}
mode: "off"
api: {{port: {port}}}
state: sqlite:///vagus.db
telemetry:
  export: {{otlp: "{collector}", every: 1s}}
"""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


def an_incident_that_is_over(state: Path) -> Incident:
    """As a run of Vagus that was killed left it: resolved, and told to nobody."""
    clock = SystemClock()
    database = open_database(f"sqlite:///{state}", clock)
    try:
        incidents, ledger = Incidents(database), Ledger(database)
        now = clock.now()
        finding = Finding(CHAT_1, Symptom.HUNG, Sense.GATEWAY, now, now, "it hangs", closed_at=now)
        incident = incidents.open(CHAT_1, Cause("replica-hung", CHAT_1, 0.9), [finding])
        opened = of_incident(incident, ["it hangs"])
        ledger.append(incident.workflow_id, "open", "incident.opened", opened)
        ledger.append(incident.workflow_id, "plan", "planned", {"ladder": ["eject", "restart"]})
        facts = {"note": "healed", "subject": "chat/chat-1", "fault": "replica-hung"}
        ledger.append(incident.workflow_id, "conclude", "resolved", facts)
        return incidents.update(incident, state=IncidentState.RESOLVED)
    finally:
        database.close()


@contextmanager
def running(folder: Path, collector: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    (folder / "vagus.yaml").write_text(CONFIG.format(collector=collector, port=port))
    process = subprocess.Popen(
        [sys.executable, "-m", "vagus", "run", "-c", str(folder / "vagus.yaml"), "--json"],
        env={
            **os.environ,
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=s3cret",
            "NOTIFY_SOCKET": str(folder / "notify"),
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def systemd(address: Path) -> Iterator[Callable[[], list[bytes]]]:
    """A service manager's socket; yields what gives all that it was told, so far."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(address))
        listening.setblocking(False)
        told: list[bytes] = []

        def all_told() -> list[bytes]:
            with suppress(BlockingIOError):
                while True:
                    told.append(listening.recv(4096))
            return told

        yield all_told


def a_free_port() -> int:
    with collecting(Collector()) as address:
        return int(address.rpartition(":")[2])


def test_metrics_and_the_trace_of_what_ended_before_a_kill(tmp_path: Path) -> None:
    incident = an_incident_that_is_over(tmp_path / "vagus.db")
    collector, port = Collector(), a_free_port()
    with collecting(collector) as address, systemd(tmp_path / "notify") as told_systemd:
        with running(tmp_path, address, port) as process:
            until(lambda: collector.traces and collector.metrics and told_systemd())
            process.send_signal(signal.SIGKILL)
        first = collector.spans()
        collector.traces.clear()
        collector.metrics.clear()
        with running(tmp_path, address, port) as process:
            until(lambda: collector.traces and len(collector.metrics) > 1)
            told = _scraped(port)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=DEADLINE)
            assert process.returncode == 0, errors.decode()
            assert b"s3cret" not in errors
        said = told_systemd()
        assert said[0] == b"READY=1\nSTATUS=leads"
        assert b"WATCHDOG=1" in said
        assert said[-1] == b"STOPPING=1"
    assert collector.spans() == first, "the same trace, not a second one"
    assert [span.name for span in first] == ["incident replica-hung", "finding hung", "plan"]
    said = {a.key: a.value for a in first[0].attributes}
    assert said["vagus.incident.id"].string_value == incident.id
    assert collector.headers[-1]["api-key"] == "s3cret"
    resource = collector.traces[0].resource_spans[0].resource
    assert {a.key: a.value.string_value for a in resource.attributes}["service.name"] == "vagus"

    pushed = collector.last_metrics()
    assert pushed["vagus.incidents_closed"].sum.data_points
    otel_names = {METRICS[name].otel_name for name in told}
    assert otel_names - pushed.keys() <= {"vagus.exported"}, "pushed is what is scraped"
    assert told["vagus_incidents_closed_total"] == 1
    assert told["vagus_exported_total"] >= 1


def test_a_collector_that_is_away_disturbs_nothing(tmp_path: Path) -> None:
    an_incident_that_is_over(tmp_path / "vagus.db")
    collector, port = Collector(), a_free_port()
    away = a_free_port()
    with running(tmp_path, f"http://127.0.0.1:{away}", port) as process:
        until(lambda: _is_up(port))
        until(lambda: _scraped(port)["vagus_export_failures_total"] >= 2)
        before = _scraped(port)["vagus_ticks_total"]
        until(lambda: _scraped(port)["vagus_ticks_total"] > before + 1)
        assert process.poll() is None
        with collecting(collector, away):
            until(lambda: collector.spans())


def _is_up(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(json.load(answer)["ok"])
    except OSError:
        return False


def _scraped(port: int) -> dict[str, float]:
    """Metric -> its values, added up."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found
