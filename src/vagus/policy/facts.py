"""What the guards look at: one moment of the world, gathered once and frozen.

Guards are pure, so everything that they may ask about is here and nothing else is. It comes from
three places that change for different reasons: what people laid down (:class:`Law`), what is heard
of the world this moment (:class:`Moment`), and what stands in our own tables (:class:`Kept`).

Gathering reads those tables and waits for nobody. Inside of :meth:`~vagus.ports.Intents.decide` it
runs under the write lock, on the same connection, which is what makes the open intents that it sees
*all* open intents. What the data plane says is therefore passed in as it was last heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vagus.config import Kind, Mode, PolicySettings
from vagus.model import (
    Aspect,
    Finding,
    Incident,
    Intent,
    IntentState,
    Licence,
    Override,
    Proposal,
    ProposalState,
    Purpose,
    Request,
    Rollout,
    Sense,
    SensesReport,
    Stop,
    Subject,
    Symptom,
    TrackRecord,
)
from vagus.policy.remedies import is_treatment
from vagus.policy.rules import NO_RULES, Rules
from vagus.ports import (
    Incidents,
    Injections,
    Intents,
    Licences,
    Overrides,
    Proposals,
    Rollouts,
    Trials,
)
from vagus.topology import Topology

FLAP_WINDOW = 3600.0  # s in which treatments of one replica make the next one wait longer
WARM_UP = 30.0  # s that a process may take to start, unless the settings say otherwise

_HEALTHY = "healthy"


# --- where facts come from ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Law:
    """What people laid down."""

    policy: PolicySettings
    rules: Rules = NO_RULES
    warm_up: float = WARM_UP


@dataclass(frozen=True, slots=True)
class Moment:
    """What is so now, and stands in no table of ours that a guard could read."""

    now: float
    mode: Mode
    stopped: Stop | None  # the kill switch
    senses: SensesReport
    ejected: frozenset[Subject]  # kept out of traffic by the data plane itself
    topology: Topology  # the stack as it stands now, members included
    error_budgets: Mapping[str, float] = field(default_factory=dict)
    """Of components with an objective: the share of their callers' error budget that is left."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Our own tables. What isn't kept (None) was never decided by people, tried, earned or rolled
    out."""

    incidents: Incidents
    intents: Intents
    overrides: Overrides
    proposals: Proposals | None = None
    trials: Trials | None = None
    licences: Licences | None = None
    injections: Injections | None = None
    rollouts: Rollouts | None = None


# --- facts ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Treatment:
    """A replica's process was, or may have been, touched."""

    subject: Subject
    at: float


@dataclass(frozen=True, slots=True)
class Replacement:
    """Why a replica is there: another one was replaced by it."""

    fault: str
    at: float


@dataclass(frozen=True, slots=True)
class Facts:
    """One moment, seen from one request: what is said of replicas is said of its component's."""

    now: float
    mode: Mode
    stopped: Stop | None
    senses: SensesReport
    policy: PolicySettings
    replicas: frozenset[Subject]
    shares: Mapping[Subject, float]  # of its normal traffic, as our overrides want it; absent: all
    ejected: frozenset[Subject]  # kept out of traffic by the data plane itself
    dead: frozenset[Subject]  # nothing listens there
    findings: tuple[Finding, ...]  # of the request's incident, closed ones too
    unfinished: tuple[Intent, ...]  # written or acting, of incidents that are not over
    recent: tuple[Intent, ...]  # all that were asked for within the longest window
    epoch: int | None  # of the request's incident, as it stands now; None: it is over, or unknown
    kind: Kind | None = None  # of the component
    collections: frozenset[Subject] = frozenset()  # of a store: those that are watched
    callers: frozenset[str] = frozenset()  # components that need this one, directly or not
    replacements: Mapping[Subject, Replacement] = field(default_factory=dict)
    recreated: frozenset[str] = frozenset()  # faults that showed up on a replacement made for them
    record: TrackRecord | None = None  # of this remedy, for this fault, here
    licences: tuple[Licence, ...] = ()  # that are valid and cover the request
    experiment: str = ""  # the injection that is in the request's target on purpose
    proposal: Proposal | None = None  # of this rung, that people said yes to
    rollout: Rollout | None = None  # the component's latest, under way or not
    rules: Rules = NO_RULES
    warm_up: float = WARM_UP
    error_budget_left: float | None = None  # the least of the component's and its callers'

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
    return max(FLAP_WINDOW, policy.budget.period, policy.cooldown, policy.approval_timeout)


# --- gathering ------------------------------------------------------------------------------------


def gather(request: Request, law: Law, moment: Moment, kept: Kept) -> Facts:
    """The facts for ``request``."""
    now, policy, component = moment.now, law.policy, request.remedy.target.component
    node = moment.topology.components.get(component)
    here = kept.incidents.active(component)
    alive = {incident.id for incident in here}
    open_here = kept.incidents.open_findings(component)
    recent = tuple(kept.intents.since(now - longest_window(policy), component))
    overrides = [row for row in kept.overrides.all(component) if _in_force(row, now)]
    shares = _shares(overrides)
    if moment.mode is Mode.SHADOW:
        shares |= _held_in_thought(recent, alive)
    replacements = _replacements(overrides, kept.intents)
    callers = frozenset(
        name
        for name in moment.topology.components
        if name != component and moment.topology.depends(name, component)
    )
    return Facts(
        now=now,
        mode=moment.mode,
        stopped=moment.stopped,
        senses=moment.senses,
        policy=policy,
        replicas=frozenset(Subject(component, name) for name in (node.replicas if node else ())),
        shares=shares,
        ejected=moment.ejected,
        dead=frozenset(
            finding.subject
            for findings in open_here.values()
            for finding in findings
            if _nobody_listens(finding)
        ),
        findings=tuple(kept.incidents.findings(request.incident)),
        # What an incident that is over left unfinished will never be done.
        unfinished=tuple(
            i for i in kept.intents.unfinished(component) if i.request.incident in alive
        ),
        recent=recent,
        epoch=next((i.epoch for i in here if i.id == request.incident), None),
        kind=node.kind if node else None,
        collections=frozenset(Subject(component, c) for c in (node.collections if node else ())),
        callers=callers,
        replacements=replacements,
        recreated=_recreated(replacements, here, open_here, law.warm_up),
        record=_record(request, policy, kept),
        licences=_licences(request, policy, now, kept),
        experiment=_experiment(request, now, kept),
        proposal=_approved(request, kept),
        rollout=None if kept.rollouts is None else kept.rollouts.latest().get(component),
        rules=law.rules,
        warm_up=law.warm_up,
        error_budget_left=min(
            (left for who, left in moment.error_budgets.items() if who in {component, *callers}),
            default=None,
        ),
    )


def _nobody_listens(finding: Finding) -> bool:
    """Only who speaks to the port that callers use can tell. That the metrics' port refuses may be
    a firewall's doing, and counting such replicas as dead would let all of them be ejected."""
    return finding.symptom is Symptom.GONE and finding.sense is not Sense.SCRAPE


def _in_force(row: Override, now: float) -> bool:
    return row.expires_at is None or row.expires_at > now


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


def _replacements(rows: Iterable[Override], intents: Intents) -> dict[Subject, Replacement]:
    """The members that we added, and for which fault: the treatment of the same incident."""
    found: dict[Subject, Replacement] = {}
    for row in rows:
        if row.aspect is not Aspect.MEMBER or not row.value:
            continue
        for intent in intents.of_incident(row.incident):
            if is_treatment(intent.request) and intent.acted_at is not None:
                found[row.subject] = Replacement(intent.request.cause.fault, row.created_at)
    return found


def _recreated(
    replacements: Mapping[Subject, Replacement],
    incidents: Sequence[Incident],
    open_findings: Mapping[str, Sequence[Finding]],
    warm_up: float,
) -> frozenset[str]:
    """Faults that a replacement made for them shows in its turn, once it had time to start."""
    return frozenset(
        replacement.fault
        for replica, replacement in replacements.items()
        for incident in incidents
        if incident.cause.fault == replacement.fault
        and any(
            finding.subject == replica and finding.last_seen_at > replacement.at + warm_up
            for finding in open_findings.get(incident.id, ())
        )
    )


def _record(request: Request, policy: PolicySettings, kept: Kept) -> TrackRecord | None:
    if kept.trials is None:
        return None
    remedy, fault = request.remedy, request.cause.fault
    return kept.trials.track_record(
        remedy.action, fault, remedy.target.component, policy.environment
    )


def _licences(
    request: Request, policy: PolicySettings, now: float, kept: Kept
) -> tuple[Licence, ...]:
    if kept.licences is None:
        return ()
    remedy, fault = request.remedy, request.cause.fault
    return tuple(
        licence
        for licence in kept.licences.valid(now)
        if licence.valid(now)
        and licence.covers(remedy.action, fault, remedy.target.component, policy.environment)
    )


def _experiment(request: Request, now: float, kept: Kept) -> str:
    if kept.injections is None:
        return ""
    target = request.remedy.target
    return next((i.id for i in kept.injections.open(now) if i.target == target), "")


def _approved(request: Request, kept: Kept) -> Proposal | None:
    """The last proposal of this rung that people said yes to, if it is still the last word."""
    if kept.proposals is None:
        return None
    asked = kept.proposals.of_rung(request.incident, request.epoch, request.rung)
    last = asked[-1] if asked else None
    return last if last is not None and last.state is ProposalState.APPROVED else None
