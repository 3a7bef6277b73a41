"""One Vagus without its senses: real state, real workflows, a small world, findings put in by hand.

The healing workflow is tried on it, in one process and across ``kill -9``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from dbos import DBOS

from vagus import config, durable
from vagus.clock import SystemClock
from vagus.diagnosis.faults import FAULTS
from vagus.healing import Healer
from vagus.healing_steps import Hands
from vagus.leadership import FileClaim, Lead, only_while_leading
from vagus.learning import Learning
from vagus.model import (
    Answer,
    Cause,
    Decision,
    Finding,
    GuardRuling,
    Incident,
    IntentState,
    Proposal,
    ProposalState,
    Purpose,
    Request,
    Ruling,
    Sense,
    Subject,
    Symptom,
    Tier,
)
from vagus.planning.plan import Playbooks
from vagus.policy.approvals import tally
from vagus.remediation import NAMES, actions
from vagus.remediation.action import World
from vagus.state.db import open_database
from vagus.state.incidents import Incidents
from vagus.state.intents import Intents
from vagus.state.leases import Leases
from vagus.state.ledger import Ledger
from vagus.state.licences import Licences
from vagus.state.overrides import Overrides
from vagus.state.proposals import Proposals
from vagus.state.trials import Trials
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
healing: {hold: 10ms, timeout: 1s, return_hold: 10ms}
"""


class Bench:
    """``folder`` holds the state, unless ``url`` names another one, and the world's journal, so
    that a second bench, in another process, goes on where a first one was killed. ``altered`` may
    put something around what the workflow works with, and ``world`` change the world before
    anything goes on in it; ``lead`` proves that this process may; ``patience`` is how long people
    are waited for, in seconds."""

    def __init__(
        self,
        folder: Path,
        altered: Callable[[Hands], Hands] = lambda hands: hands,
        *,
        url: str | None = None,
        lead: Lead | None = None,
        world: Callable[[SmallWorld], None] = lambda world: None,
        patience: float = 900.0,
    ) -> None:
        self.clock = SystemClock()
        self.lead = lead or FileClaim()
        settings = config.parse(STACK)
        policy = settings.policy.model_copy(update={"approval_timeout": patience})
        self.settings = settings.model_copy(update={"policy": policy})
        self.url = url or f"sqlite:///{folder / 'vagus.db'}"
        self.database = open_database(self.url, self.clock)
        self.database.fence = self.lead.check
        self.incidents = Incidents(self.database)
        self.intents = Intents(self.database)
        self.overrides = Overrides(self.database)
        self.proposals = Proposals(self.database)
        self.leases = Leases(self.database)
        self.ledger = Ledger(self.database)
        self.trials = Trials(self.database)
        self.licences = Licences(self.database)
        self.declared = Topology.declared(self.settings)
        self.world = SmallWorld(
            self.clock,
            {
                name: Replica(address, well_since=self.clock.now())
                for name, address in self.declared.components["chat"].replicas.items()
            },
            journal=folder / "world.journal",
        )
        world(self.world)
        self.shadow = False
        self.stop_reason: str | None = None
        self.forgotten: list[Subject] = []
        self.deny: dict[str, GuardRuling] = {}
        self.binding = "as it was shown"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.healer = Healer(altered(self._hands()), name=str(folder))
        durable.launch(self.url, self.lead.term.owner)

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
            leases=self.leases,
            proposals=self.proposals,
            ledger=self.ledger,
            memory=self.world,
            learning=Learning(self.trials, self.licences, self.ledger, "default"),
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
        if said is not None and said.decision is Decision.ASK:
            recovery = request.purpose in (Purpose.RETURN, Purpose.UNDO)
            said = None if recovery or self._approved(request) else said
        if said is None:
            return Ruling(Decision.ALLOW, (), binding=self.binding)
        return Ruling(said.decision, (said,), binding=self.binding)

    def _approved(self, request: Request) -> bool:
        """As the gate does it: a yes to this rung, in a world that is still the same."""
        of_rung = self.proposals.of_rung(request.incident, request.epoch, request.rung)
        return any(p.state is ProposalState.APPROVED and p.binding == self.binding for p in of_rung)

    def answer(self, proposal: Proposal, *, yes: bool, by: str = "anna") -> None:
        """As a person does it, through whatever door."""
        answer = Answer(by, yes, self.clock.now())
        self.proposals.answer(proposal.id, answer, lambda p: tally(p, {}))
        self.healer.wake(proposal.id)

    def _forget(self, subject: Subject, at: float) -> None:
        """What the reflexes do: a healed replica's findings close."""
        self.forgotten.append(subject)
        replica = self.world.replicas_by_name.get(subject.replica)
        if replica is None or replica.sick_until is None:
            for incident in self.incidents.active():
                self.close_findings(incident)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        work = only_while_leading(self.lead, work)
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

    def find(self, incident: Incident, symptom: Symptom, sense: Sense) -> None:
        now = self.clock.now()
        finding = Finding(CHAT_2, symptom, sense, now, now, f"chat-2: {symptom}")
        self.incidents.record_findings(incident.id, [finding])

    def close_findings(self, incident: Incident) -> None:
        now = self.clock.now()
        findings = self.incidents.findings(incident.id, open_only=True)
        self.incidents.record_findings(incident.id, [replace(f, closed_at=now) for f in findings])

    def heal(self, incident: Incident) -> Incident:
        """Run the workflow of ``incident`` to its end."""
        self.healer.ensure(incident.id, incident.epoch)
        DBOS.retrieve_workflow(incident.workflow_id).get_result(polling_interval_sec=0.02)
        return self.incidents.get(incident.id)

    def done(self, incident: Incident) -> list[tuple[str, IntentState]]:
        intents = self.intents.of_incident(incident.id)
        return [(i.request.remedy.action, i.state) for i in intents]
