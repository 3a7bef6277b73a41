"""The API over real stores, called without a socket."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from fastapi import FastAPI

from vagus import config
from vagus.api.application import build
from vagus.api.served import Served
from vagus.clock import ManualClock
from vagus.metrics import reading
from vagus.model import (
    Ask,
    Cause,
    Decision,
    Incident,
    Injection,
    Licence,
    Proposal,
    Purpose,
    Remedy,
    Request,
    Role,
    Rollout,
    Ruling,
    SensesReport,
    Sheet,
    Subject,
    Tier,
)
from vagus.policy import steering
from vagus.policy.approvals import tally
from vagus.snapshot import ReplicaView, Snapshot, Vitals
from vagus.state.controls import Controls
from vagus.state.db import Database
from vagus.state.incidents import Incidents
from vagus.state.injections import Injections
from vagus.state.intents import Intents
from vagus.state.ledger import Ledger
from vagus.state.licences import Licences
from vagus.state.proposals import Proposals
from vagus.state.rollouts import Rollouts
from vagus.state.tokens import Tokens
from vagus.verification.rollout import judge_rollout

CHAT2 = Subject("chat", "chat-2")
ROLES = ("viewer", "operator", "approver", "admin")


@dataclass
class Office:
    """What a test looks at, and the application itself."""

    served: Served
    app: FastAPI
    clock: ManualClock
    woken: list[str]
    secrets: dict[str, str]  # role -> secret of the person of the same name

    def incident(self, subject: Subject = CHAT2) -> Incident:
        cause = Cause("replica-hung", subject, 0.9, "work stands still")
        return self.served.incidents.open(subject, cause, [])

    def proposal(self, incident: str = "inc-1", rung: int = 1, **changes: object) -> Proposal:
        now = self.clock.now()
        request = Request(
            purpose=Purpose.TREAT,
            incident=incident,
            epoch=1,
            rung=rung,
            attempt=1,
            remedy=Remedy("restart", CHAT2),
            cause=Cause("replica-hung", CHAT2, 0.9, "work stands still"),
            tier=Tier.R3,
            proposer=str(changes.pop("proposer", "vagus")),
        )
        sheet = Sheet(
            what="restart chat/chat-2",
            why=("4 requests make no progress for 12 s",),
            cause="replica-hung",
            confidence=0.9,
            blast_radius="1 of 3 replicas",
            checks="three good probes",
            undo="a restart has no undo",
            unanswered="nothing is done",
            record="restart healed 3 of 3 times",
        )
        proposal = Proposal(request, (Ask(),), "hash", sheet, now, now + 900.0)
        return self.served.proposals.open(replace(proposal, **changes))  # type: ignore[arg-type]

    def kept(self, proposal_id: str) -> Proposal:
        """The proposal as it stands in the state."""
        found = self.served.proposals.get(proposal_id)
        assert found is not None
        return found

    def licence(self) -> Licence:
        now = self.clock.now()
        return self.served.licences.issue(
            Licence("lic-1", "restart", "chat", "test", issued_at=now, expires_at=now + 60.0)
        )

    def rollout(self, component: str) -> Rollout:
        now = self.clock.now()
        rollout = Rollout(f"rol-{component}", component, "v2", "v1", (), now, "test")
        return self.served.rollouts.start(rollout)

    def injection(self) -> Injection:
        now = self.clock.now()
        what = "SIGKILL to process group 7"
        injection = Injection("inj-1", "exp-1", "kill", CHAT2, what, 60.0, 0.5, "test", now)
        known = self.served.injections.get(injection.id)
        if known is None:
            self.served.injections.decide(injection, lambda: Ruling(Decision.ALLOW, ()))
        return known or injection

    def told(self, event: str = "called") -> list[dict[str, object]]:
        """The facts of what the ledger holds of these events."""
        return [dict(e.facts) for e in self.served.ledger.entries() if e.event == event]

    def headers(self, who: str | None) -> dict[str, str]:
        return {} if who is None else {"Authorization": f"Bearer {self.secrets[who]}"}

    def client(self, who: str | None = None) -> httpx.AsyncClient:
        """Calls as the person of this role; without one, as nobody."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://127.0.0.1:9190",
            headers=self.headers(who),
        )


def settings_for(folder: Path, **api: object) -> config.Settings:
    return config.Settings.model_validate(
        {
            "stack": {
                "chat": {
                    "kind": "model-server",
                    "replicas": {"chat-2": "http://127.0.0.1:8102"},
                }
            },
            "mode": "suggest",
            "state": f"sqlite:///{folder / 'vagus.db'}",
            "policy": {
                "kill_switch": str(folder / "vagus.stop"),
                "environment": "test",
                "approvers": {"dba": ["ann"], "sre": ["approver", "admin"]},
            },
            "api": {"rate": "100000 per second", "port": 0, **api},
        }
    )


def furnish(database: Database, clock: ManualClock, settings: config.Settings) -> Office:
    members = {name: frozenset(who) for name, who in settings.policy.approvers.items()}
    woken, controls = list[str](), Controls(database)
    tokens = Tokens(database)

    def mode() -> config.Mode:
        return steering.in_force(settings.mode, controls.mode())

    def snapshot() -> Snapshot:
        view = ReplicaView(CHAT2, "ok", 1.0, (), Vitals())
        trusted = SensesReport(trusted=True)
        return Snapshot(clock.now(), mode().value, None, trusted, (view,), ())

    served = Served(
        clock=clock,
        settings=settings,
        ledger=Ledger(database),
        tokens=tokens,
        incidents=Incidents(database),
        intents=Intents(database),
        proposals=Proposals(database),
        licences=Licences(database),
        controls=controls,
        rollouts=Rollouts(database),
        injections=Injections(database),
        judge_injection=lambda injection: Ruling(Decision.ALLOW, ()),
        prove=lambda injection: None,
        judge_rollout=lambda rollout: judge_rollout(
            rollout, {}, (), clock.now(), warm_up=settings.healing.warm_up
        ),
        transaction=database.write,
        remedies=frozenset({"restart", "eject"}),
        faults=frozenset({"replica-hung"}),
        tally=lambda proposal: tally(proposal, members),
        wake=woken.append,
        snapshot=snapshot,
        readings=lambda: [reading("vagus_ticks_total", 3)],
    )
    with database.write():
        secrets = {role: tokens.create(role, Role[role.upper()], "test").secret for role in ROLES}
    return Office(served, build(served), clock, woken, secrets)
