"""What the guards look at: one moment of the world, gathered once and frozen.

Guards are pure, so everything that they may ask about is here and nothing else is. Gathering reads
our own tables only. Inside of :meth:`~vagus.ports.Intents.decide` it runs under the write lock, on
the same connection, which is what makes the open intents that it sees *all* open intents; it must
therefore never wait for the network. What the data plane says is passed in as it was last heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vagus.config import Mode, PolicySettings
from vagus.model import (
    Aspect,
    Finding,
    Intent,
    IntentState,
    Override,
    Purpose,
    Request,
    SensesReport,
    Subject,
    Symptom,
)
from vagus.policy.remedies import is_treatment
from vagus.ports import Incidents, Intents, Overrides
from vagus.topology import Topology

FLAP_WINDOW = 3600.0  # s in which treatments of one replica make the next one wait longer

_HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class Treatment:
    """A replica's process was, or may have been, touched."""

    subject: Subject
    at: float


@dataclass(frozen=True, slots=True)
class Facts:
    """One moment, seen from one request: what is said of replicas is said of its component's."""

    now: float
    mode: Mode
    stopped: str | None  # the kill switch: why, or None
    senses: SensesReport
    policy: PolicySettings
    replicas: frozenset[Subject]
    shares: Mapping[Subject, float]  # of its normal traffic, as our overrides want it; absent: all
    ejected: frozenset[Subject]  # kept out of traffic by the data plane itself
    dead: frozenset[Subject]  # nothing listens there
    findings: tuple[Finding, ...]  # of the request's incident, closed ones too
    unfinished: tuple[Intent, ...]  # written or acting, of incidents that are not over
    recent: tuple[Intent, ...]  # all that were asked for within the longest window

    def in_traffic(self, replica: Subject) -> float:
        """The share of its normal traffic that ``replica`` can carry now."""
        if replica in self.ejected or replica in self.dead:
            return 0.0
        return self.shares.get(replica, 1.0)

    @property
    def treatments(self) -> tuple[Treatment, ...]:
        """What was done to processes of this component lately, oldest first. What is not finished
        counts as done now; what surely never began does not count."""
        done = {intent.token: (intent, self._done_at(intent)) for intent in self.recent}
        done |= {intent.token: (intent, self.now) for intent in self.unfinished}
        found = [
            Treatment(intent.request.remedy.target, at)
            for intent, at in done.values()
            if at is not None and is_treatment(intent.request)
        ]
        return tuple(sorted(found, key=lambda treatment: treatment.at))

    def _done_at(self, intent: Intent) -> float | None:
        if intent.state is IntentState.SHADOW and self.mode is Mode.SHADOW:
            return intent.created_at  # it counts as done for as long as this is shadow
        return intent.acted_at


def longest_window(policy: PolicySettings) -> float:
    """How far back ``Facts.recent`` must reach, in seconds."""
    return max(FLAP_WINDOW, policy.budget.period, policy.cooldown)


def gather(
    request: Request,
    *,
    now: float,
    mode: Mode,
    policy: PolicySettings,
    stopped: str | None,
    senses: SensesReport,
    ejected: frozenset[Subject],
    topology: Topology,
    incidents: Incidents,
    intents: Intents,
    overrides: Overrides,
) -> Facts:
    """The facts for ``request``. ``topology`` is the stack as it stands now, members included."""
    component = request.remedy.target.component
    node = topology.components.get(component)
    active = incidents.active()
    here = [incident for incident in active if incident.subject.component == component]
    alive = {incident.id for incident in active}
    recent = _of(component, intents.since(now - longest_window(policy)))
    shares = _shares(row for row in overrides.all() if _in_force(row, component, now))
    if mode is Mode.SHADOW:
        shares |= _held_in_thought(recent, alive)
    return Facts(
        now=now,
        mode=mode,
        stopped=stopped,
        senses=senses,
        policy=policy,
        replicas=frozenset(Subject(component, name) for name in (node.replicas if node else ())),
        shares=shares,
        ejected=ejected,
        dead=frozenset(
            finding.subject
            for incident in here
            for finding in incidents.findings(incident.id, open_only=True)
            if finding.symptom is Symptom.GONE
        ),
        findings=tuple(incidents.findings(request.incident)),
        # What an incident that is over left unfinished will never be done.
        unfinished=_of(component, (i for i in intents.unfinished() if i.request.incident in alive)),
        recent=recent,
    )


def _of(component: str, intents: Iterable[Intent]) -> tuple[Intent, ...]:
    return tuple(i for i in intents if i.request.remedy.target.component == component)


def _in_force(row: Override, component: str, now: float) -> bool:
    expired = row.expires_at is not None and row.expires_at <= now
    return row.subject.component == component and not expired


def _shares(rows: Iterable[Override]) -> dict[Subject, float]:
    """The smallest share that any row leaves; no new traffic counts as none."""
    shares: dict[Subject, float] = {}
    for row in rows:
        if row.aspect is Aspect.HEALTH:
            share = 1.0 if row.value == _HEALTHY else 0.0
        elif row.aspect is Aspect.WEIGHT:
            share = float(row.value)
        else:
            continue
        shares[row.subject] = min(share, shares.get(row.subject, 1.0))
    return shares


def _held_in_thought(recent: Iterable[Intent], alive: set[str]) -> dict[Subject, float]:
    """Replicas that would be out of traffic by now if this were not shadow: without them, every
    incident of a bad hour would be let pass as if it were the only one."""
    return {
        intent.request.remedy.target: intent.request.remedy.share
        for intent in recent
        if intent.state is IntentState.SHADOW
        and intent.request.purpose is Purpose.CONTAIN
        and intent.request.incident in alive
    }
