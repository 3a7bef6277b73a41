"""The loop while the state can't be reached: it decides nothing, loses nothing, and goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection

from vagus import config
from vagus.clock import ManualClock
from vagus.detection.reflexes import Reflexes
from vagus.detection.senses import Senses
from vagus.errors import StateUnavailable
from vagus.loop import Loop
from vagus.model import Failure, Incident, Probe, Scrape, Subject
from vagus.reconcile import Reconciler
from vagus.state.db import Database, open_database
from vagus.state.incidents import Incidents
from vagus.state.ledger import Ledger
from vagus.topology import Topology

STACK = """
stack:
  chat:
    kind: model-server
    replicas:
      chat-1: http://127.0.0.1:9101
      chat-2: http://127.0.0.1:9102
"""
CHAT_2 = Subject("chat", "chat-2")


class Scene:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.database = open_database(f"sqlite:///{folder / 'vagus.db'}", self.clock)
        self.incidents = Incidents(self.database)
        self.ledger = Ledger(self.database)
        self.started: list[str] = []
        topology = Topology.declared(config.parse(STACK))
        self.replicas = topology.replicas()
        reflexes = Reflexes(lambda: topology)
        self.loop = Loop(
            clock=self.clock,
            interval=1.0,
            topology=lambda: topology,
            sources=(),
            remember=(),
            detectors=reflexes,
            senses=Senses(lambda: topology),
            incidents=self.incidents,
            ledger=self.ledger,
            rollouts=lambda: {},
            reconciler=Reconciler(
                clock=self.clock,
                incidents=self.incidents,
                topology=lambda: topology,
                open_findings=reflexes.open_findings,
                asking=set,
                start=self._start,
            ),
            on_tick=lambda now: None,
        )

    async def _start(self, incident: Incident) -> None:
        self.started.append(incident.workflow_id)

    async def second(self, *, dead: tuple[Subject, ...] = ()) -> None:
        self.clock.advance(1.0)
        now = self.clock.now()
        for replica in self.replicas:
            failure = Failure.REFUSED if replica in dead else None
            self.loop.sense([Scrape(replica, now, failure=failure)])
            self.loop.sense([Probe(replica, now, failure=failure, time_to_first_token=0.1)])
        await self.loop.detect()

    def events(self) -> list[str]:
        return [entry.event for entry in self.ledger.entries()]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.database.close()


@contextmanager
def away(database: Database, after: int = 0) -> Iterator[None]:
    """Every write but the first ``after`` finds that the state is gone."""
    left = after

    def gone(connection: Connection) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise StateUnavailable("is gone")

    database.fence = gone
    try:
        yield
    finally:
        database.fence = None


@pytest.mark.parametrize("after", range(4))
async def test_what_was_found_meanwhile_is_said_and_opened_afterwards_once(
    scene: Scene, after: int
) -> None:
    """However far it came before the state was gone."""
    await scene.second()
    failed = 0
    with away(scene.database, after):
        for _ in range(5):
            try:
                await scene.second(dead=(CHAT_2,))
            except StateUnavailable:
                failed += 1
    assert failed > 0
    await scene.second(dead=(CHAT_2,))
    opened = scene.incidents.active()
    assert [incident.subject for incident in opened] == [CHAT_2]
    assert scene.incidents.findings(opened[0].id)
    assert scene.events().count("incident.opened") == 1
    keys = [(e.step, e.event) for e in scene.ledger.entries() if e.event == "finding.opened"]
    assert len(keys) == len(set(keys)) > 0
    assert scene.ledger.verify() == []


async def test_what_came_and_went_meanwhile_is_told_and_opens_nothing(scene: Scene) -> None:
    await scene.second()
    with away(scene.database):
        for turn in range(40):
            try:
                await scene.second(dead=(CHAT_2,) if turn < 5 else ())
            except StateUnavailable:
                assert scene.loop.counts["evidence"] > 0
    await scene.second()
    assert scene.incidents.active() == []
    assert {"finding.opened", "finding.closed"} <= set(scene.events())


async def test_the_loop_itself_lives_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def on_tick(now: float) -> None:
        calls.append(now)
        if len(calls) == 1:
            raise StateUnavailable("is gone")
        if len(calls) == 3:
            raise Enough

    monkeypatch.setattr(scene.loop, "_on_tick", on_tick)

    async def at_once(seconds: float) -> None:
        scene.clock.advance(seconds)

    monkeypatch.setattr(scene.clock, "sleep", at_once)
    with pytest.raises(Enough):
        await scene.loop._tick()
    assert scene.loop.counts["state_unavailable"] == 1


class Enough(Exception):
    """The test has seen what it wanted."""
