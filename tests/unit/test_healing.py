"""The healing workflow, from plan to verdict, on the real state and the real workflow engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from vagus.diagnosis.faults import FAULTS

from vagus import config, durable, healing
from vagus.clock import SystemClock
from vagus.healing import Healer
from vagus.healing_steps import Hands
from vagus.model import (
    Cause,
    Decision,
    Finding,
    GuardRuling,
    Incident,
    IncidentState,
    IntentState,
    Request,
    Ruling,
    Sense,
    Subject,
    Symptom,
    Tier,
)
from vagus.planning.plan import Playbooks
from vagus.remediation import NAMES, actions
from vagus.remediation.action import World
from vagus.state.db import open_database
from vagus.state.incidents import Incidents
from vagus.state.intents import Intents
from vagus.state.leases import Leases
from vagus.state.ledger import Ledger
from vagus.state.overrides import Overrides
from vagus.testing.world import Replica, SmallWorld
from vagus.topology import Topology

T = TypeVar("T")
CHAT_2 = Subject("chat", "chat-2")
STACK = """
stack:
  chat:
    kind: model-server
    replicas:
      chat-1: http://127.0.0.1:9101
      chat-2: http://127.0.0.1:9102
      chat-3: http://127.0.0.1:9103
    runtime: {process: {supervisor: "http://127.0.0.1:9090"}}
healing: {hold: 50ms, timeout: 600ms, return_hold: 50ms}
"""


class Bench:
    """One Vagus without its senses: findings are put in by hand."""

    def __init__(self, folder: Path) -> None:
        self.clock = SystemClock()
        self.settings = config.parse(STACK)
        self.url = f"sqlite:///{folder / 'vagus.db'}"
        self.database = open_database(self.url, self.clock)
        self.incidents = Incidents(self.database)
        self.intents = Intents(self.database)
        self.overrides = Overrides(self.database)
        self.ledger = Ledger(self.database)
        self.declared = Topology.declared(self.settings)
        self.world = SmallWorld(
            self.clock,
            {
                name: Replica(address, well_since=self.clock.now())
                for name, address in self.declared.components["chat"].replicas.items()
            },
        )
        self.shadow = False
        self.stop_reason: str | None = None
        self.forgotten: list[Subject] = []
        self.deny: dict[str, GuardRuling] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.healer = Healer(self._hands(), name=str(folder))
        durable.launch(self.url)

    def _hands(self) -> Hands:
        acting = World(
            clock=self.clock,
            declared=self.declared,
            overrides=self.overrides,
            gateway=self.world,
            routed=lambda component: True,
            runtimes={"chat": self.world},
        )
        return Hands(
            clock=self.clock,
            settings=self.settings,
            incidents=self.incidents,
            intents=self.intents,
            overrides=self.overrides,
            leases=Leases(self.database),
            ledger=self.ledger,
            memory=self.world,
            playbooks=Playbooks.load(FAULTS, NAMES),
            actions=actions(acting),
            topology=lambda: self.declared,
            routed=lambda component: True,
            tier=lambda remedy: Tier.R1,
            judge=self._judge,
            shadow=lambda: self.shadow,
            stopped=lambda: self.stop_reason,
            forget=self._forget,
            call=self._call,
        )

    def _judge(self, request: Request) -> Ruling:
        said = self.deny.get(request.remedy.action)
        if said is None:
            return Ruling(Decision.ALLOW, ())
        return Ruling(said.decision, (said,))

    def _forget(self, subject: Subject) -> None:
        """What the reflexes do: a healed replica's findings close."""
        self.forgotten.append(subject)
        replica = self.world.replicas_by_name.get(subject.replica)
        if replica is None or replica.sick_until is None:
            for incident in self.incidents.active():
                self.close_findings(incident)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    def close(self) -> None:
        durable.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.database.close()

    def sicken(self, until: str | None = "restart", fault: str = "replica-gone") -> Incident:
        self.world.replicas_by_name["chat-2"].sick_until = until or "nothing"
        now = self.clock.now()
        finding = Finding(CHAT_2, Symptom.GONE, Sense.SCRAPE, now, now, "chat-2 refuses")
        return self.incidents.open(CHAT_2, Cause(fault, CHAT_2, 0.9), [finding])

    def close_findings(self, incident: Incident) -> None:
        now = self.clock.now()
        closed = [
            Finding(f.subject, f.symptom, f.sense, f.opened_at, now, f.sentence, closed_at=now)
            for f in self.incidents.findings(incident.id, open_only=True)
        ]
        self.incidents.record_findings(incident.id, closed)

    def heal(self, incident: Incident) -> Incident:
        """Run the workflow of ``incident`` to its end."""
        self.healer.ensure(incident.id, incident.epoch)
        healing.DBOS.retrieve_workflow(incident.workflow_id).get_result()
        return self.incidents.get(incident.id)

    def done(self, incident: Incident) -> list[tuple[str, IntentState]]:
        intents = self.intents.of_incident(incident.id)
        return [(i.request.remedy.action, i.state) for i in intents]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(healing, "LOOK_EVERY", 0.02)
    made = Bench(tmp_path)
    yield made
    made.close()


def test_contained_restarted_verified_and_returned_by_steps(bench: Bench) -> None:
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.RESOLVED
    assert bench.done(incident) == [
        ("eject", IntentState.APPLIED),
        ("restart", IntentState.APPLIED),
        ("weight", IntentState.APPLIED),
        ("restore", IntentState.APPLIED),
    ]
    assert bench.world.endpoint("chat-2").health == "healthy"
    assert bench.world.endpoint("chat-2").share == 1.0
    assert bench.overrides.all() == []
    assert len(bench.world.replicas_by_name["chat-2"].restarts) == 1
    assert bench.ledger.verify() == []


def test_every_workflow_runs_once_however_often_it_is_started(bench: Bench) -> None:
    incident = bench.sicken()
    for _ in range(3):
        bench.healer.ensure(incident.id, incident.epoch)
    bench.heal(incident)
    bench.healer.ensure(incident.id, incident.epoch)
    assert len(bench.world.replicas_by_name["chat-2"].restarts) == 1


def test_what_a_restart_does_not_heal_is_replaced(bench: Bench) -> None:
    incident = bench.heal(bench.sicken(until=None))
    assert incident.state is IncidentState.RESOLVED
    assert [action for action, _ in bench.done(incident)][:3] == ["eject", "restart", "replace"]
    assert "chat-2" not in bench.world.replicas_by_name
    assert bench.world.endpoint("chat-4").share == 1.0
    assert {e.replica for e in bench.world.traffic["chat"]} == {"chat-1", "chat-3", "chat-4"}


def test_shadow_decides_and_touches_nothing(bench: Bench) -> None:
    bench.shadow = True
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.SHADOWED
    assert bench.done(incident) == [
        ("eject", IntentState.SHADOW),
        ("restart", IntentState.SHADOW),
    ]
    assert bench.world.operations == []
    assert bench.world.replicas_by_name["chat-2"].restarts == []
    assert "would have done eject, then restart" in incident.note


def test_a_refused_containment_escalates_and_treats_nothing(bench: Bench) -> None:
    bench.deny["eject"] = GuardRuling("capacity-floor", Decision.DENY, "1 of 3 would be left", 5.0)
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.ESCALATED
    assert "1 of 3 would be left" in incident.note
    assert incident.retry_at is not None
    assert bench.done(incident) == [("eject", IntentState.REFUSED)]
    assert bench.world.replicas_by_name["chat-2"].restarts == []


def test_a_treatment_waits_for_a_refusal_that_time_lifts(bench: Bench) -> None:
    bench.deny["restart"] = GuardRuling("evidence", Decision.DENY, "one sense only", 0.05)
    incident = bench.sicken()
    bench.healer.ensure(incident.id, incident.epoch)
    deadline = bench.clock.monotonic() + 10
    while ("restart", IntentState.REFUSED) not in bench.done(incident):
        assert bench.clock.monotonic() < deadline
    bench.deny.clear()
    assert bench.heal(incident).state is IncidentState.RESOLVED
    assert ("restart", IntentState.APPLIED) in bench.done(incident)


def test_evidence_that_goes_away_while_waiting_needs_no_treatment(bench: Bench) -> None:
    bench.deny["restart"] = GuardRuling("evidence", Decision.DENY, "one sense only", 0.05)
    incident = bench.sicken()
    bench.healer.ensure(incident.id, incident.epoch)
    deadline = bench.clock.monotonic() + 10
    while ("restart", IntentState.REFUSED) not in bench.done(incident):
        assert bench.clock.monotonic() < deadline
    bench.world.replicas_by_name["chat-2"].sick_until = None
    bench.close_findings(incident)
    assert bench.heal(incident).state is IncidentState.RESOLVED
    assert bench.world.replicas_by_name["chat-2"].restarts == []
    assert bench.overrides.all() == []


def test_when_nothing_helps_a_person_is_asked_and_traffic_stays_away(bench: Bench) -> None:
    bench.deny["replace"] = GuardRuling("budget", Decision.DENY, "spent")
    incident = bench.heal(bench.sicken(until=None))
    assert incident.state is IncidentState.ESCALATED
    assert bench.world.endpoint("chat-2").health == "unhealthy"


def test_callers_that_fail_on_return_take_traffic_away_again(bench: Bench) -> None:
    bench.world.callers_fail = True
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.ESCALATED
    assert [action for action, _ in bench.done(incident)] == [
        *("eject", "restart", "weight", "eject"),
        *("replace", "weight", "eject"),
    ]
    assert bench.world.endpoint("chat-4").health == "unhealthy"


def test_a_kill_switch_that_was_set_after_the_ruling_stops_the_action(bench: Bench) -> None:
    bench.stop_reason = "release freeze"
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.ESCALATED
    assert "release freeze" in incident.note
    assert bench.world.operations == []


def test_a_gateway_that_refuses_is_tried_twice_and_escalated(bench: Bench) -> None:
    bench.world.refuse = "listener gone"
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.ESCALATED
    assert "listener gone" in incident.note
    assert bench.done(incident) == [("eject", IntentState.FAILED)] * 2


def test_a_later_epoch_supersedes_the_workflow(bench: Bench) -> None:
    incident = bench.sicken()
    bench.incidents.update(incident, new_epoch=True)
    bench.healer.ensure(incident.id, incident.epoch)
    assert healing.DBOS.retrieve_workflow(incident.workflow_id).get_result() == "superseded"
    assert bench.done(incident) == []
