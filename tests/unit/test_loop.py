"""The main path on real reflexes, real correlation and the real state; only evidence is made up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from vagus import config
from vagus.clock import ManualClock
from vagus.detection.reflexes import Reflexes
from vagus.detection.senses import Senses
from vagus.loop import QUEUE_BATCHES, Loop
from vagus.model import (
    Cause,
    Evidence,
    Failure,
    Incident,
    IncidentState,
    Probe,
    Rollout,
    Scrape,
    Subject,
)
from vagus.ports import Emit
from vagus.reconcile import Reconciler
from vagus.state.db import open_database
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
      chat-3: http://127.0.0.1:9103
"""
CHAT_2 = Subject("chat", "chat-2")


class Scene:
    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        database = open_database(f"sqlite:///{folder / 'vagus.db'}", self.clock)
        self.incidents = Incidents(database)
        self.ledger = Ledger(database)
        topology = Topology.declared(config.parse(STACK))
        self.replicas = topology.replicas()
        self.ensured: list[str] = []
        self.asking: set[str] = set()
        self.broken = False
        self.rollouts: dict[str, Rollout] = {}
        self.seen: list[Evidence] = []
        reflexes = Reflexes(lambda: topology)
        self.reconciler = Reconciler(
            clock=self.clock,
            incidents=self.incidents,
            topology=lambda: topology,
            open_findings=reflexes.open_findings,
            asking=lambda: self.asking,
            start=self._start,
            admitted=2,
        )
        self.loop = Loop(
            clock=self.clock,
            interval=1.0,
            topology=lambda: topology,
            sources=(),
            remember=(self.seen.extend,),
            detectors=reflexes,
            senses=Senses(lambda: topology),
            incidents=self.incidents,
            ledger=self.ledger,
            rollouts=lambda: self.rollouts,
            reconciler=self.reconciler,
            on_tick=lambda now: None,
        )

    async def _start(self, incident: Incident) -> None:
        if self.broken:
            raise OSError("no engine")
        self.ensured.append(incident.workflow_id)

    async def second(self, *, dead: Sequence[Subject] = ()) -> None:
        """A second passes: everybody is scraped and probed; the dead refuse."""
        self.clock.advance(1.0)
        now = self.clock.now()
        for replica in self.replicas:
            failure = Failure.REFUSED if replica in dead else None
            self.loop.sense([Scrape(replica, now, failure=failure)])
            self.loop.sense([Probe(replica, now, failure=failure, time_to_first_token=0.1)])
        await self.loop.detect()
        await self.reconciler.reconcile()

    def events(self) -> list[str]:
        return [entry.event for entry in self.ledger.entries()]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_a_quiet_stack_has_no_incident(scene: Scene) -> None:
    for _ in range(30):
        await scene.second()
    assert scene.incidents.active() == []
    assert scene.events() == []
    assert len(scene.seen) == 30 * 6


async def test_a_dead_replica_becomes_one_incident_with_one_workflow(scene: Scene) -> None:
    for _ in range(3):
        await scene.second()
    for _ in range(5):
        await scene.second(dead=[CHAT_2])
    incidents = scene.incidents.active()
    assert [i.subject for i in incidents] == [CHAT_2]
    assert incidents[0].cause.fault == "replica-gone"
    assert set(scene.ensured) == {incidents[0].workflow_id}
    assert scene.events().count("incident.opened") == 1
    assert len(scene.incidents.findings(incidents[0].id)) >= 2


async def test_what_was_left_to_people_has_a_new_version_for_a_cause_as_well(scene: Scene) -> None:
    """An incident of the replica was open already when it got the version: its next plan is to take
    that back, and not to restart it into the same once more."""
    for _ in range(3):
        await scene.second(dead=[CHAT_2])
    (incident,) = scene.incidents.active()
    scene.incidents.update(incident, state=IncidentState.ESCALATED, retry_at=scene.clock.now() + 99)
    scene.rollouts["chat"] = Rollout(
        "r-1", "chat", "v2", "v1", ("chat-2",), scene.clock.now(), "pipeline"
    )
    for _ in range(6):
        await scene.second(dead=[CHAT_2])
    (incident,) = scene.incidents.active()
    assert (incident.cause.fault, incident.cause.before) == ("version-regressed", "v1")
    assert incident.retry_at == pytest.approx(scene.clock.now() - 6 + 99)


async def test_a_replica_that_fell_ill_with_a_new_version_has_it_for_a_cause(scene: Scene) -> None:
    await scene.second()
    scene.rollouts["chat"] = Rollout(
        "r-1", "chat", "v2", "v1", ("chat-2",), scene.clock.now(), "ana"
    )
    for _ in range(4):
        await scene.second(dead=[CHAT_2, Subject("chat", "chat-3")])
    causes = {i.subject.replica: i.cause for i in scene.incidents.active()}
    assert (causes["chat-2"].fault, causes["chat-2"].before) == ("version-regressed", "v1")
    assert causes["chat-3"].fault == "replica-gone"


async def test_two_dead_replicas_are_two_incidents(scene: Scene) -> None:
    await scene.second()
    for _ in range(4):
        await scene.second(dead=[CHAT_2, Subject("chat", "chat-3")])
    assert len(scene.incidents.active()) == 2


async def test_a_workflow_that_could_not_be_started_is_started_by_the_next_tick(
    scene: Scene,
) -> None:
    scene.broken = True
    incident = incident_of(scene, "chat-2", "replica-gone")
    with pytest.raises(OSError, match="no engine"):
        await scene.reconciler.reconcile()
    scene.broken = False
    await scene.reconciler.reconcile()
    assert scene.ensured == [incident.workflow_id]


def incident_of(scene: Scene, replica: str, fault: str, confidence: float = 0.9) -> Incident:
    scene.clock.advance(0.1)
    return scene.incidents.open(Subject("chat", replica), Cause(fault, CHAT_2, confidence), [])


async def test_in_a_storm_the_most_urgent_are_admitted_first(scene: Scene) -> None:
    slow = incident_of(scene, "chat-1", "replica-slow")
    doubtful = incident_of(scene, "chat-2", "replica-erroring", confidence=0.4)
    gone = incident_of(scene, "chat-3", "replica-gone")
    await scene.reconciler.reconcile()
    assert scene.ensured == [gone.workflow_id, doubtful.workflow_id]
    assert scene.reconciler.waiting == 1
    scene.incidents.update(scene.incidents.get(gone.id), state=IncidentState.RESOLVED)
    await scene.reconciler.reconcile()
    assert scene.ensured[-1] == slow.workflow_id
    assert scene.reconciler.waiting == 0


async def test_the_most_urgent_overtakes_those_that_hold_every_place(scene: Scene) -> None:
    for name in ("chat-1", "chat-2"):
        incident_of(scene, name, "replica-slow")
    await scene.reconciler.reconcile()
    erring = incident_of(scene, "chat-1", "replica-erroring")
    hung = incident_of(scene, "chat-3", "replica-hung")
    await scene.reconciler.reconcile()
    assert scene.ensured[2:] == [erring.workflow_id]  # of two that may, the older
    assert scene.reconciler.waiting == 1
    await scene.reconciler.reconcile()
    assert hung.workflow_id not in scene.ensured  # as urgent as one that works by now


async def test_who_waits_for_a_person_keeps_nobody_from_being_healed(scene: Scene) -> None:
    asking = [incident_of(scene, name, "replica-gone") for name in ("chat-1", "chat-2")]
    await scene.reconciler.reconcile()
    scene.asking = {incident.id for incident in asking}
    other = incident_of(scene, "chat-3", "replica-slow")
    await scene.reconciler.reconcile()
    assert scene.ensured[-1] == other.workflow_id


async def escalated(scene: Scene, retry_at: float | None) -> Incident:
    for _ in range(4):
        await scene.second(dead=[CHAT_2])
    incident = scene.incidents.active()[0]
    return scene.incidents.update(incident, state=IncidentState.ESCALATED, retry_at=retry_at)


async def test_an_escalated_incident_waits_while_the_evidence_holds(scene: Scene) -> None:
    incident = await escalated(scene, scene.clock.now() + 60)
    await scene.second(dead=[CHAT_2])
    assert scene.incidents.get(incident.id).state is IncidentState.ESCALATED


async def test_it_is_tried_again_when_its_time_has_come(scene: Scene) -> None:
    incident = await escalated(scene, scene.clock.now() + 2)
    for _ in range(3):
        await scene.second(dead=[CHAT_2])
    again = scene.incidents.get(incident.id)
    assert (again.state, again.epoch) == (IncidentState.OPEN, incident.epoch + 1)
    assert scene.ensured[-1] == again.workflow_id


async def test_it_is_taken_up_again_when_the_evidence_went_away(scene: Scene) -> None:
    incident = await escalated(scene, None)
    for _ in range(10):
        await scene.second()
    again = scene.incidents.get(incident.id)
    assert (again.state, again.epoch) == (IncidentState.OPEN, incident.epoch + 1)


async def test_a_shadowed_incident_subsides_with_its_evidence(scene: Scene) -> None:
    for _ in range(4):
        await scene.second(dead=[CHAT_2])
    incident = scene.incidents.active()[0]
    scene.incidents.update(incident, state=IncidentState.SHADOWED)
    for _ in range(10):
        await scene.second()
    assert scene.incidents.get(incident.id).state is IncidentState.SUBSIDED


async def test_what_an_earlier_run_found_is_closed_once_this_one_has_looked(tmp_path: Path) -> None:
    before = Scene(tmp_path)
    for _ in range(4):
        await before.second(dead=[CHAT_2])
    incident = before.incidents.active()[0]
    after = Scene(tmp_path)  # killed and started again; meanwhile the replica came back
    after.clock.advance(10.0)
    after.reconciler._began_at = after.clock.now()
    for _ in range(4):
        await after.second()
    assert after.incidents.findings(incident.id, open_only=True)
    await after.second()
    assert after.incidents.findings(incident.id, open_only=True) == []


async def test_a_full_queue_drops_evidence_and_counts_it(scene: Scene) -> None:
    probe = Probe(CHAT_2, scene.clock.now())
    for _ in range(QUEUE_BATCHES + 3):
        scene.loop.emit([probe])
    assert scene.loop.counts["evidence_dropped"] == 3


class Broken:
    """A source with a bug."""

    name = "broken"

    def __init__(self) -> None:
        self.runs = 0

    async def run(self, emit: Emit) -> None:
        self.runs += 1
        raise RuntimeError("a bug")


async def test_a_source_that_breaks_is_started_again_and_blinds_nobody(tmp_path: Path) -> None:
    scene, broken = Scene(tmp_path), Broken()
    scene.loop._sources = (broken,)
    running = asyncio.create_task(scene.loop.run())
    for _ in range(40):
        scene.clock.advance(0.5)
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert broken.runs > 2
    assert scene.loop.counts["source_crashes"] == broken.runs
