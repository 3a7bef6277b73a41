"""What lies in deploy/ fits what Vagus exposes, and what it is for can read it."""

from __future__ import annotations

import configparser
import itertools
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from vagus import service
from vagus.cli import app
from vagus.metrics import METRICS

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "vagus.rules.yaml"
UNIT = DEPLOY / "systemd" / "vagus.service"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
OF_PROMETHEUS = {"up": ("instance", "job")}
ADDED = ("instance", "job")  # by whoever scrapes
SELECTOR = re.compile(r"\b((?:vagus|process)_[a-z_]+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')
GRAFANA_S = {"$__rate_interval": "1m", "$__range": "3h", "$component": ".*", "$instance": ".*"}


def panels(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["panels"]
    return found


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of everything that is asked."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for path in DASHBOARDS:
        board = json.loads(path.read_text("utf-8"))
        for annotation in board["annotations"]["list"]:
            yield f"{path.name}: {annotation['name']}", annotation["expr"]
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield f"{path.name}: {panel['title']}", target["expr"]


QUERIES = list(queries())


def promtool(*words: str) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run([tool, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("where", "query"), QUERIES, ids=[where for where, _ in QUERIES])
def test_metrics_and_labels_exist(where: str, query: str) -> None:
    selectors = SELECTOR.findall(query)
    assert selectors, where
    known: set[str] = set()
    for name, matchers in selectors:
        labels = OF_PROMETHEUS[name] if name in OF_PROMETHEUS else METRICS[name].labels
        assert set(MATCHER.findall(matchers)) <= {*labels, *ADDED}, where
        known |= set(labels)
    for grouped in re.findall(r"\bby \(([^)]*)\)", query):
        assert {label.strip() for label in grouped.split(",")} <= known | set(ADDED), where


def test_everything_that_matters_is_on_a_dashboard() -> None:
    """A metric that nobody looks at is one that nobody needs."""
    shown = {name for _, query in QUERIES for name, _ in SELECTOR.findall(query)}
    elsewhere = {
        "process_start_time_seconds",  # Prometheus's own functions use it
        "vagus_ticks_total",
        "vagus_notifications_retried_total",
    }
    assert METRICS.keys() - shown == elsewhere


def test_dashboards_are_dashboards() -> None:
    assert len(DASHBOARDS) == 3
    boards = [json.loads(path.read_text("utf-8")) for path in DASHBOARDS]
    assert {board["uid"] for board in boards} == {path.stem for path in DASHBOARDS}
    for board in boards:
        assert board["title"]
        assert board["templating"]["list"][0]["type"] == "datasource"
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)
        for panel in board["panels"]:
            if panel["type"] != "row":
                assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
                assert len({t["refId"] for t in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_panels_do_not_cover_each_other(path: Path) -> None:
    places = [panel["gridPos"] for panel in panels(path)]
    for place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for a, b in itertools.combinations(places, 2):
        apart_x = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        apart_y = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert apart_x or apart_y, (a, b)


def test_variables_are_those_that_queries_use() -> None:
    for path in DASHBOARDS:
        text = path.read_text("utf-8")
        board = json.loads(text)
        declared = {variable["name"] for variable in board["templating"]["list"]}
        used = set(re.findall(r"\$\{?([a-z]+)\}?", text))
        assert declared == used, path.name


def test_prometheus_parses_every_query(tmp_path: Path) -> None:
    made = []
    for number, (_, query) in enumerate(QUERIES):
        for variable, value in GRAFANA_S.items():
            query = query.replace(variable, value)
        made.append({"record": f"query:{number}", "expr": query})
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": made}]}))
    promtool("check", "rules", "--lint=none", str(file))


def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", str(RULES))


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    """In promtool's own tests of rules; every alert fires in one of them."""
    text = (ROOT / "tests" / "data" / "alerts.test.yaml").read_text("utf-8")
    assert {rule["alert"] for rule in rules()} == set(re.findall(r'alertname="(\w+)"', text))
    file = tmp_path / "test.yaml"
    file.write_text(text.replace("RULES", str(RULES)))
    promtool("test", "rules", str(file))


def test_alerts_say_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(UNIT.read_text("utf-8"))
    return parser


def test_the_unit_has_a_watchdog_and_calls_what_there_is() -> None:
    told = unit()["Service"]
    assert told["Type"] == "notify", "the watchdog is fed by sd_notify"
    assert int(told["WatchdogSec"]) >= 10
    assert told["Restart"] == "always"
    for line in (told["ExecStart"], told["ExecStartPre"]):
        program, command, *words = line.split()
        assert Path(program).name == "vagus"
        help_text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        for word in words:
            assert not word.startswith("--") or word in help_text, word


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    file = tmp_path / "vagus.service"
    file.write_text(UNIT.read_text("utf-8").replace("/opt/vagus/bin/vagus", sys.executable))
    done = subprocess.run([tool, "verify", str(file)], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if line.startswith("vagus.service")]
    assert said == []


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    address = f"@{tmp_path}"[:90] if abstract else str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    service.tell(service.ALIVE)  # nobody is there yet
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{address[1:]}" if abstract else address)
        service.tell(service.READY, service.status("leads\nfor now"))
        assert systemd.recv(1000) == b"READY=1\nSTATUS=leads for now"
        systemd.setblocking(False)
        for _ in range(10_000):  # nobody reads: it must not wait for them
            service.tell(service.ALIVE)


def test_nobody_is_told_who_did_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr(socket, "socket", None)
    service.tell(service.ALIVE)
