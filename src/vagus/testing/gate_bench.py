"""The real gate over real tables, with a clock that stands still: the scene in which incidents are
replayed to it.

The world is three replicas of ``chat`` and one of ``embed``; a test says what is found, what was
done and what people said, and reads what the gate makes of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vagus.clock import ManualClock
from vagus.config import Kind, Mode, PolicySettings
from vagus.model import (
    Answer,
    Aspect,
    Cause,
    Check,
    Finding,
    Incident,
    Intent,
    IntentState,
    Licence,
    Override,
    Proposal,
    Purpose,
    Remedy,
    Request,
    Ruling,
    Sense,
    SensesReport,
    Sheet,
    Stop,
    Subject,
    Symptom,
    Tier,
)
from vagus.policy.approvals import tally
from vagus.policy.facts import Facts, Kept, Law, Moment, gather
from vagus.policy.gate import GUARDS, Guard, judge
from vagus.policy.rules import NO_RULES
from vagus.state.db import open_database
from vagus.state.incidents import Incidents
from vagus.state.injections import Injections
from vagus.state.intents import Intents
from vagus.state.licences import Licences
from vagus.state.overrides import Overrides
from vagus.state.proposals import Proposals
from vagus.state.rollouts import Rollouts
from vagus.state.trials import Trials
from vagus.testing.cases import CHAT
from vagus.testing.guard_cases import Held
from vagus.topology import ComponentNode, Topology

EMBED = Subject("embed", "embed-1")


class GateBench:
    """Made by :func:`gate_bench`. What is public may be set by a test at any time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock(1_000_000.0)
        self.database = open_database(f"sqlite:///{folder / 'vagus.db'}", self.clock)
        self.incidents = Incidents(self.database)
        self.intents = Intents(self.database)
        self.overrides = Overrides(self.database)
        self.trials = Trials(self.database)
        self.licences = Licences(self.database)
        self.injections = Injections(self.database)
        self.proposals = Proposals(self.database)
        self.rollouts = Rollouts(self.database)
        self.mode = Mode.AUTO
        self.policy = PolicySettings()
        self.rules = NO_RULES
        self.warm_up = 30.0
        self.stopped: Stop | None = None
        self.senses = SensesReport(True)
        self.ejected: frozenset[Subject] = frozenset()
        self.guards: tuple[Guard, ...] = GUARDS
        self.declared = Topology(
            {
                "chat": node("chat", Kind.MODEL_SERVER, *(r.replica for r in CHAT)),
                "embed": node("embed", Kind.EMBEDDING_SERVER, "embed-1"),
            }
        )

    def incident(
        self, subject: Subject, symptom: Symptom = Symptom.HUNG, *, lasting: float = 0.0
    ) -> Incident:
        """Seen by a probe and at the gateway, for ``lasting`` seconds already."""
        now = self.clock.now()
        seen = [
            Finding(subject, symptom, sense, now - lasting, now, "it is sick")
            for sense in (Sense.PROBE, Sense.GATEWAY)
        ]
        return self.incidents.open(subject, Cause(f"replica-{symptom}", subject, 0.9), seen)

    def facts(self, request: Request) -> Facts:
        moment = Moment(
            now=self.clock.now(),
            mode=self.mode,
            stopped=self.stopped,
            senses=self.senses,
            ejected=self.ejected,
            topology=self.declared.with_members(self.overrides.all()),
        )
        kept = Kept(
            self.incidents,
            self.intents,
            self.overrides,
            proposals=self.proposals,
            trials=self.trials,
            licences=self.licences,
            injections=self.injections,
            rollouts=self.rollouts,
        )
        return gather(request, Law(self.policy, self.rules, self.warm_up), moment, kept)

    def judge(self, request: Request) -> Ruling:
        return judge(request, self.facts(request), self.guards)

    def decide(self, request: Request) -> Intent:
        """As the healing workflow does: judged and written down in one transaction."""
        return self.intents.decide(
            request,
            Check(request.remedy.target, 3, 5.0, 60.0),
            lambda: self.judge(request),
            shadow=self.mode is Mode.SHADOW,
        )

    def act(self, request: Request, state: IntentState = IntentState.APPLIED) -> Intent:
        """Decide, and carry out what was allowed."""
        intent = self.decide(request)
        assert intent.state is IntentState.WRITTEN, intent.ruling.reason
        self.intents.begin(intent.token)
        return self.intents.finish(intent.token, state)

    def propose(self, request: Request) -> Proposal:
        """What people are asked about ``request``, as the world stands."""
        ruling, now = self.judge(request), self.clock.now()
        lasts = self.policy.approval_timeout
        sheet = Sheet(request.remedy.action, (), "", 0.9, "", "", "", "", "")
        proposal = Proposal(request, ruling.asks, ruling.binding, sheet, now, now + lasts)
        return self.proposals.open(proposal)

    def approve(self, request: Request, *people: str) -> Proposal:
        """They are asked, and say yes."""
        members = {name: frozenset(group) for name, group in self.policy.approvers.items()}
        proposal = self.propose(request)
        for person in people:
            answer = Answer(person, True, self.clock.now())
            proposal = self.proposals.answer(
                proposal.id, answer, lambda asked: tally(asked, members)
            )
        return proposal

    def grant(self, action: str, component: str = "chat", *, days: int = 30) -> Licence:
        """A licence by hand."""
        now = self.clock.now()
        return self.licences.issue(
            Licence(
                f"{action}-{component}",
                action,
                component,
                self.policy.environment,
                issued_at=now,
                expires_at=now + days * 86_400.0,
                issued_by="ada",
                reason="rehearsed",
            )
        )

    def case(self, guard: str, request: Request, name: str) -> Held:
        """``request`` at this moment, as a case for the mutation run."""
        return Held(guard, request, self.facts(request), name)

    def hold(self, subject: Subject, value: str, expires_in: float | None = None) -> None:
        """Traffic held back: a health, or a share."""
        now = self.clock.now()
        aspect = Aspect.HEALTH if value.isalpha() else Aspect.WEIGHT
        until = None if expires_in is None else now + expires_in
        self.overrides.put(Override(subject, aspect, value, "inc-x", now, until))


@contextmanager
def gate_bench(folder: Path) -> Iterator[GateBench]:
    bench = GateBench(folder)
    try:
        yield bench
    finally:
        bench.database.close()


def node(name: str, kind: Kind, *replicas: str) -> ComponentNode:
    return ComponentNode(name, kind, "generic", dict.fromkeys(replicas, "http://127.0.0.1:1"))


def asked(
    incident: Incident,
    action: str = "restart",
    *,
    purpose: Purpose = Purpose.TREAT,
    target: Subject | None = None,
    share: float = 0.0,
    rung: int = 0,
    attempt: int = 1,
) -> Request:
    """What the workflow of ``incident`` would ask for."""
    subject = incident.subject if target is None else target
    return Request(
        purpose=purpose,
        incident=incident.id,
        epoch=incident.epoch,
        rung=rung,
        attempt=attempt,
        remedy=Remedy(action, subject, share),
        cause=replace(incident.cause),
        tier=Tier.R1,
    )
