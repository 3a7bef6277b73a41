"""A storm in a simulated fleet: very many incidents at once, on a clock that is moved by hand.

What decides is real: the state, the gate with all its guards, the reconciler that admits. What is
simulated is the world, and the workflow as far as its order of effects goes (contain, treat, hold,
return), because a thousand threads would measure the machine and not the rules. Everything that
happens is an event on one heap; ties are broken by a seeded die, so each seed is another order.

After every intent that was let pass the storm counts for itself what is left in traffic and how
many replicas were treated, without asking the gate's own arithmetic.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vagus.clock import ManualClock
from vagus.config import Kind, Mode, PolicySettings
from vagus.model import (
    Aspect,
    Cause,
    Check,
    Finding,
    Incident,
    IncidentState,
    Intent,
    IntentState,
    Override,
    Purpose,
    Remedy,
    Request,
    Sense,
    SensesReport,
    Subject,
    Symptom,
    Tier,
)
from vagus.policy.facts import Kept, Law, Moment, gather
from vagus.policy.gate import judge
from vagus.reconcile import Reconciler
from vagus.state.db import open_database
from vagus.state.incidents import Incidents
from vagus.state.intents import Intents
from vagus.state.overrides import Overrides
from vagus.topology import ComponentNode, Topology

ACKNOWLEDGED = 0.05  # s until the gateway says that it follows
RESTART = 4.0  # s until a process that was ended serves again
HOLD = 5.0  # s of watching
PATIENCE = 90.0  # s that a treatment waits for a refusal that time can lift
RETRY = 60.0  # s until an escalated incident is tried again

Course = Generator[float, None, None]


@dataclass
class Tally:
    """What was seen."""

    admitted: list[str] = field(default_factory=list)  # incidents, in order
    decisions: int = 0
    acted: Counter[str] = field(default_factory=Counter)  # by action
    healed_at: dict[str, float] = field(default_factory=dict)
    floor_broken: list[str] = field(default_factory=list)
    budget_broken: list[str] = field(default_factory=list)
    most_waiting: int = 0


class Storm:
    """``components`` of ``replicas`` each, in a state in ``folder``."""

    def __init__(
        self,
        folder: Path,
        *,
        components: int,
        replicas: int,
        policy: PolicySettings,
        seed: int,
        admitted: int = 32,
    ) -> None:
        self.clock = ManualClock()
        self.tally = Tally()
        self._policy = policy
        self._random = random.Random(seed)
        self._database = open_database(f"sqlite:///{folder / 'storm.db'}", self.clock)
        self.incidents = Incidents(self._database)
        self._intents = Intents(self._database)
        self._overrides = Overrides(self._database)
        self._kept = Kept(self.incidents, self._intents, self._overrides)
        self._law = Law(policy)
        self.topology = Topology(
            {
                f"c{c:03}": ComponentNode(
                    f"c{c:03}",
                    Kind.MODEL_SERVER,
                    "generic",
                    {
                        f"c{c:03}-{r}": f"http://10.{c}.{r // 250}.{r % 250}:80"
                        for r in range(replicas)
                    },
                    restartable=True,
                )
                for c in range(components)
            }
        )
        self._findings: dict[str, list[Finding]] = {}
        self._dead: set[Subject] = set()
        self._held: set[Subject] = set()
        self._treated: dict[str, list[tuple[float, Subject]]] = defaultdict(list)
        self._events: list[tuple[float, float, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._rungs: dict[str, itertools.count[int]] = {}
        self.reconciler = Reconciler(
            clock=self.clock,
            incidents=self.incidents,
            topology=lambda: self.topology,
            open_findings=self._open_findings,
            asking=lambda: (),
            start=self._start,
            admitted=admitted,
        )

    # --- what happens ----------------------------------------------------------------------------

    def fault(
        self,
        subject: Subject,
        *,
        real: bool,
        at: float = 0.0,
        lasts: float | None = None,
        symptom: Symptom = Symptom.GONE,
    ) -> None:
        """Something is found wrong with ``subject``, ``at`` so many seconds from now: really, seen
        by two senses until it is healed; or falsely, by one, until it ``lasts`` no longer."""
        self._after(at, lambda: self._found(subject, real, lasts, symptom))

    def _found(self, subject: Subject, real: bool, lasts: float | None, symptom: Symptom) -> None:
        now = self.clock.now()
        senses = (Sense.GATEWAY, Sense.PROBE) if real else (Sense.SCRAPE,)
        fault = "replica-gone" if symptom is Symptom.GONE else "replica-slow"
        found = [Finding(subject, symptom, s, now, now, f"{subject} is sick") for s in senses]
        cause = Cause(fault, subject, 0.95 if real else 0.7)
        incident = self.incidents.open(subject, cause, found)
        self._findings[incident.id] = found
        if real and symptom is Symptom.GONE:
            self._dead.add(subject)
        if lasts is not None:
            self._after(lasts, lambda: self._well(incident))

    def _well(self, incident: Incident) -> None:
        found = self._findings.pop(incident.id, [])
        now = self.clock.now()
        self.incidents.record_findings(incident.id, [replace(f, closed_at=now) for f in found])
        self._dead.discard(incident.subject)

    def run(self, seconds: float, *, tick: float = 1.0) -> None:
        """Let so much simulated time pass."""
        end = self.clock.now() + seconds
        asyncio.run(self._run(end, tick))

    async def _run(self, end: float, tick: float) -> None:
        next_tick = self.clock.now()
        while self.clock.now() < end:
            due = self._events[0][0] if self._events else end
            if next_tick <= due:
                self._pass_to(next_tick)
                self._confirm_findings()
                await self.reconciler.reconcile()
                self.tally.most_waiting = max(self.tally.most_waiting, self.reconciler.waiting)
                next_tick += tick
            else:
                self._pass_to(due)
                heapq.heappop(self._events)[3]()

    def close(self) -> None:
        self._database.close()

    def _pass_to(self, at: float) -> None:
        if at > self.clock.now():
            self.clock.advance(at - self.clock.now())

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        at = self.clock.now() + seconds
        heapq.heappush(self._events, (at, self._random.random(), next(self._number), act))

    def _open_findings(self) -> Sequence[Finding]:
        return [finding for found in self._findings.values() for finding in found]

    def _confirm_findings(self) -> None:
        """A live sense goes on seeing it: evidence must not grow old by itself."""
        now = self.clock.now()
        for name, found in self._findings.items():
            if now - found[0].last_seen_at >= 10.0:
                fresh = [replace(f, last_seen_at=now) for f in found]
                self._findings[name] = fresh
                self.incidents.record_findings(name, fresh)

    # --- the workflow's order of effects ---------------------------------------------------------

    async def _start(self, incident: Incident) -> None:
        self.tally.admitted.append(incident.id)
        self._go_on(self._heal(incident))

    def _go_on(self, course: Course) -> None:
        wait = next(course, None)
        if wait is not None:
            self._after(wait, lambda: self._go_on(course))

    def _heal(self, incident: Incident) -> Course:
        if self._is_sick(incident):
            contained = yield from self._carry_out(incident, "eject", Purpose.CONTAIN)
            if not contained:
                return self._conclude(incident, IncidentState.ESCALATED)
            treated = yield from self._carry_out(incident, "restart", Purpose.TREAT)
            if treated:
                yield RESTART
                self._well(incident)
            if self._is_sick(incident):
                return self._conclude(incident, IncidentState.ESCALATED)
        elif incident.subject not in self._held:
            return self._conclude(incident, IncidentState.SUBSIDED)
        yield HOLD
        yield from self._carry_out(incident, "restore", Purpose.RETURN)
        self.tally.healed_at[incident.id] = self.clock.now()
        return self._conclude(incident, IncidentState.RESOLVED)

    def _carry_out(
        self, incident: Incident, action: str, purpose: Purpose
    ) -> Generator[float, None, bool]:
        waited, rungs = 0.0, self._rungs.setdefault(incident.workflow_id, itertools.count())
        rung = next(rungs)
        for attempt in itertools.count(1):
            intent = self._decide(
                incident, Remedy(action, incident.subject), purpose, rung, attempt
            )
            if intent.state is IntentState.WRITTEN:
                yield ACKNOWLEDGED
                self._act(intent)
                return True
            wait = intent.ruling.retry_after
            waited += wait or 0.0
            if purpose is not Purpose.TREAT or wait is None or waited > PATIENCE:
                return False
            yield wait
            if not self._is_sick(incident):
                return False
        raise AssertionError("unreachable")

    def _decide(
        self, incident: Incident, remedy: Remedy, purpose: Purpose, rung: int, attempt: int
    ) -> Intent:
        request = Request(
            purpose, incident.id, incident.epoch, rung, attempt, remedy, incident.cause, Tier.R1
        )
        moment = Moment(
            now=self.clock.now(),
            mode=Mode.AUTO,
            stopped=None,
            senses=SensesReport(trusted=True),
            ejected=frozenset(),
            topology=self.topology,
        )
        self.tally.decisions += 1
        intent = self._intents.decide(
            request,
            Check(remedy.target, 3, HOLD, 60.0),
            lambda: judge(request, gather(request, self._law, moment, self._kept)),
            shadow=False,
        )
        if intent.state is IntentState.WRITTEN:
            self._count(intent)
        return intent

    def _act(self, intent: Intent) -> None:
        now, request = self.clock.now(), intent.request
        target, incident = request.remedy.target, request.incident
        assert self._intents.begin(intent.token)
        if request.remedy.action == "eject":
            until = now + 3600.0
            row = Override(target, Aspect.HEALTH, "unhealthy", incident, now, until)
            self._overrides.put(row)
        elif request.remedy.action == "restore":
            self._overrides.drop(incident, target)
            self._held.discard(target)
        self._intents.finish(intent.token, IntentState.APPLIED)
        self.tally.acted[request.remedy.action] += 1

    def _is_sick(self, incident: Incident) -> bool:
        return incident.id in self._findings

    def _conclude(self, incident: Incident, state: IncidentState) -> None:
        known = self.incidents.get(incident.id)
        retry_at = self.clock.now() + RETRY if state is IncidentState.ESCALATED else None
        self.incidents.update(known, state=state, retry_at=retry_at)

    # --- counting for oneself --------------------------------------------------------------------

    def _count(self, intent: Intent) -> None:
        now, target, action = (
            self.clock.now(),
            intent.request.remedy.target,
            intent.request.remedy.action,
        )
        whole = [
            Subject(target.component, r)
            for r in self.topology.components[target.component].replicas
        ]
        if action in ("eject", "restart"):
            lost = target not in self._held and target not in self._dead
            self._held.add(target)
            left = sum(1 for r in whole if r not in self._held and r not in self._dead)
            if lost and left < self._policy.floor * len(whole):
                self.tally.floor_broken.append(f"{target}: {left} of {len(whole)} left")
        if action == "restart":
            treated = self._treated[target.component]
            treated.append((now, target))
            period = self._policy.budget.period
            lately = {subject for at, subject in treated if now - at < period}
            if len(lately) > max(1, int(self._policy.budget.count * len(whole) + 1e-9)):
                self.tally.budget_broken.append(f"{target}: {len(lately)} of {len(whole)}")
