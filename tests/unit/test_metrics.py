"""How readings are written down, and that nothing is read that nobody explained."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from vagus import loop
from vagus.measuring import CONDITIONS, LOOP_COUNTS
from vagus.metrics import METRICS, Reading, Type, exposition, reading
from vagus.notify.deliver import Notifier
from vagus.snapshot import replica_views


def test_what_is_not_in_the_catalogue_can_not_be_read() -> None:
    with pytest.raises(KeyError):
        reading("vagus_secret_total", 1)
    with pytest.raises(KeyError):
        reading("vagus_ticks_total", 1, component="chat")
    with pytest.raises(KeyError):
        reading("vagus_mode", 1)


def test_values_and_labels_come_back_as_they_were() -> None:
    names = ('a"b', "a\\b", "a\nb", "", "ü {x=1}")
    text = exposition(
        [
            *(reading("vagus_guard_objections_total", 1, guard=n, decision="deny") for n in names),
            reading("vagus_last_tick_timestamp_seconds", 1_700_000_000.123456),
            reading("vagus_incidents_opened_total", 12_345_678_901, fault="x"),
        ]
    )
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    told = {(s.name, s.labels.get("guard")): s.value for s in samples}
    assert {guard for name, guard in told if name == "vagus_guard_objections_total"} == set(names)
    assert told["vagus_last_tick_timestamp_seconds", None] == 1_700_000_000.123456
    assert told["vagus_incidents_opened_total", None] == 12_345_678_901


def test_a_metric_is_written_once_however_its_readings_come() -> None:
    share = {"component": "chat", "replica": "chat-1"}
    text = exposition(
        [
            reading("vagus_replica_share", 1, **share),
            reading("vagus_kill_switch", 0),
            reading("vagus_replica_share", 0.5, **share | {"replica": "chat-2"}),
        ]
    )
    assert text.count("# TYPE vagus_replica_share gauge") == 1
    assert text.count("# HELP") == 2


def test_names_say_type_and_unit() -> None:
    for metric in METRICS.values():
        assert re.fullmatch(r"(vagus|process)_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.type is Type.COUNTER), metric.name
        assert (metric.unit == "s") == bool(re.search(r"_seconds(_total)?$", metric.name))
        assert metric.help.endswith("."), metric.name
        assert "total" not in metric.otel_name
        assert not metric.otel_name.endswith("seconds")
    assert len({metric.otel_name for metric in METRICS.values()}) == len(METRICS)


def test_the_loop_counts_nothing_that_is_not_exposed() -> None:
    """The loop's counter takes any name; each that it is given has to be in the catalogue."""
    tree = ast.parse(inspect.getsource(loop))
    counted = {
        node.slice.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "counts"
        and isinstance(node.slice, ast.Constant)
    }
    assert counted == set(LOOP_COUNTS)


def test_notifications_are_counted_under_known_names() -> None:
    written = re.findall(r"Counter\((.*?)\)", inspect.getsource(Notifier.__init__))
    assert written, "where it counts has moved: look again"
    for name in re.findall(r"(\w+)=0", written[0]):
        assert f"vagus_notifications_{name}_total" in METRICS


def test_conditions_are_those_of_the_snapshot() -> None:
    assert set(re.findall(r'"(\w+)"', inspect.getsource(replica_views))) == set(CONDITIONS)


def test_prometheus_s_own_linter_has_nothing_to_say() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    text = exposition(Reading(m, 1.0, tuple("x" for _ in m.labels)) for m in METRICS.values())
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert names == METRICS.keys()
    linted = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
