"""Where what is normal comes from and where it stays, and what the user knows better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from vagus import config
from vagus.detection.normal import LEARNED, Keeper, baselines, teach
from vagus.model import Sense, Subject, signals
from vagus.model.series import Column, SeriesKey
from vagus.topology import Topology

STACK = """
stack:
  chat:
    kind: model-server
    replicas: {chat-1: http://127.0.0.1:9101, chat-2: http://127.0.0.1:9102}
"""
ONE = Subject("chat", "chat-1")
QUEUE = SeriesKey(ONE, signals.WAITING, Sense.SCRAPE)
ASKED = SeriesKey(ONE, signals.REQUESTS, Sense.SCRAPE)
SERIES = (QUEUE, ASKED)
DAY_S, STEP_S = 86400.0, 300.0
T = 1_700_006_400.0  # midnight


def settings(folder: Path, more: str = "") -> config.Settings:
    text = f"{STACK}\ntelemetry: {{history: history}}\n{more}"
    return config.parse(text).resolved(folder)


def past(days: int) -> Iterator[Column]:
    """A queue of 2 by night and of 20 by day."""
    noise = np.random.default_rng(3)
    for number in range(int(days * DAY_S / STEP_S)):
        at = T + number * STEP_S
        day = 8 <= (at % DAY_S) / 3600 < 20
        yield Column(at, SERIES, np.array([(20.0 if day else 2.0) + noise.standard_normal(), 3.0]))


def test_a_fresh_vagus_begins_with_the_days_and_nights_that_history_shows(tmp_path: Path) -> None:
    given = settings(tmp_path)
    topology = Topology.declared(given)
    assert given.telemetry.history is not None
    folder = given.telemetry.history / LEARNED
    folder.mkdir(parents=True)
    assert teach(given, topology, past(10), STEP_S, folder) == 1
    watched = baselines(given, lambda: topology, frozenset)
    night, noon = T + 11 * DAY_S + 3600, T + 11 * DAY_S + 12 * 3600
    expected = []
    for begin, usual in ((night, 2.0), (noon, 20.0)):
        for second in range(30):
            watched.tick(Column(begin + second, SERIES, np.array([usual, 3.0])))
        scores = watched.fleet.update(np.array([usual]), None, np.array([3.0]), at=begin + 30)
        expected.append(float(scores.expected[0]))
    assert abs(expected[0] - 2.0) < 3.0
    assert abs(expected[1] - 20.0) < 6.0


def test_what_was_learned_is_there_after_a_restart(tmp_path: Path) -> None:
    given = settings(tmp_path)
    topology = Topology.declared(given)
    before = baselines(given, lambda: topology, frozenset)
    for second in range(60):
        before.tick(Column(T + second, SERIES, np.array([5.0, 3.0])))
    keeper = Keeper(before.fleet, given.telemetry.baselines, T)
    assert not keeper.due(T + 1)
    assert keeper.due(T + 1000)
    keeper.save()
    after = baselines(given, lambda: topology, frozenset)
    assert after.fleet.names == before.fleet.names
    assert after.fleet.ticks == 60


def test_a_damaged_file_is_set_aside_and_learning_starts_again(tmp_path: Path) -> None:
    given = settings(tmp_path)
    assert given.telemetry.baselines == tmp_path / "vagus.baselines"
    given.telemetry.baselines.write_bytes(b"vagus-baselines 1 3 abc\nxyz")
    topology = Topology.declared(given)
    assert len(baselines(given, lambda: topology, frozenset).fleet) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["vagus.baselines.bad-1"]


def test_a_disk_that_is_full_costs_no_more_than_what_was_learned(tmp_path: Path) -> None:
    given = settings(tmp_path)
    topology = Topology.declared(given)
    watched = baselines(given, lambda: topology, frozenset)
    watched.tick(Column(T, SERIES, np.array([5.0, 3.0])))
    Keeper(watched.fleet, tmp_path / "missing" / "file", T).save()


def test_the_user_may_know_a_signal_better(tmp_path: Path) -> None:
    name = signals.WAITING
    topology = Topology.declared(settings(tmp_path))
    column = Column(T, SERIES, np.array([5.0, 3.0]))
    ignored = baselines(
        settings(tmp_path, f"signals: {{{name}: {{watch: false}}}}"), lambda: topology, frozenset
    )
    ignored.tick(column)
    assert len(ignored.fleet) == 0
    told = baselines(
        settings(tmp_path, f"signals: {{{name}: {{floor: 50, worse: down}}}}"),
        lambda: topology,
        frozenset,
    )
    told.tick(column)
    own, _ = told.fleet.parts()["own"]
    assert (own.direction[0], own.floor[0]) == (-1, 50.0)  # type: ignore[attr-defined]


def test_replicas_that_left_are_forgotten(tmp_path: Path) -> None:
    given = settings(tmp_path)
    topology = [Topology.declared(given)]
    watched = baselines(given, lambda: topology[0], frozenset)
    watched.tick(Column(T, SERIES, np.array([5.0, 3.0])))
    node = replace(topology[0].components["chat"], replicas={"chat-2": "http://127.0.0.1:9102"})
    topology[0] = replace(topology[0], components={"chat": node})
    watched.tick(Column(T + 1, SERIES, np.array([5.0, 3.0])))
    assert watched.fleet.names == []
