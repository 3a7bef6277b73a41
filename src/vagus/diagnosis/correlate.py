"""Which findings belong to which incident. Pure: it decides and touches nothing.

One fault is seen in many places. A chat replica that cuts its streams makes the pipeline above it
fail requests; whoever opens an incident for both pages people twice and restarts the wrong one. So:

- findings of the subject of an active incident join it, however late they come;
- findings of a *caller* join the incident of what it depends on;
- a caller's finding that comes first waits a short grace for a finding below it, since callers
  often notice first, being many; only what can't come from below (its own port refuses) does not;
- what is left over from an incident that was just closed is no news, and waits to close itself;
- what a component shows as a whole joins the incident of the replica that it may come from, and
  waits for it likewise;
- siblings of a sick replica carry its share: that they are busier than usual joins its incident;
- two replicas that nothing connects stay two incidents.

Missing metrics join what there is, and open nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vagus.diagnosis.rank import cause
from vagus.model import Cause, Finding, Incident, Sense, Subject, Symptom
from vagus.topology import Topology

CALLER_GRACE_S = 3.0
"""How long a caller's finding waits for one below it: reflexes at the gateway take a second, probes
two."""
AFTERMATH_S = 30.0
"""How long a caller's finding may outlive the incident that explains it before it is news."""
_OWN = frozenset({Symptom.GONE, Symptom.NONSENSE})
"""Symptoms that a dependency can't cause; nor does it cause what the scraper meets."""
_LEARNED = frozenset(
    {Symptom.SLOWER, Symptom.DECLINING, Symptom.SATURATING, Symptom.FAILING, Symptom.DEGRADED}
)
"""What a baseline shows in a server's own numbers may well come from below it: it waits, too."""


@dataclass(frozen=True, slots=True)
class Opening:
    """An incident to be opened."""

    subject: Subject
    cause: Cause
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Assignments:
    joining: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)  # by incident id
    opening: tuple[Opening, ...] = ()
    waiting: tuple[Finding, ...] = ()  # asked again next time


def correlate(
    changes: Sequence[Finding],
    open_findings: Sequence[Finding],
    incidents: Sequence[Incident],
    topology: Topology,
    now: float,
) -> Assignments:
    """Assign ``changes`` (opened, updated, closed) and whatever among ``open_findings`` has no
    incident yet. ``incidents`` are the active ones and, if known, those closed of late."""
    if not changes and not open_findings:
        return Assignments()
    active = [i for i in incidents if i.closed_at is None]
    past = [i for i in incidents if i.closed_at is not None]
    joining: dict[str, list[Finding]] = {}
    for finding in changes:
        incident = _home(finding, active, topology)
        if incident is not None:
            joining.setdefault(incident.id, []).append(finding)
    homeless = [f for f in open_findings if _home(f, active, topology) is None]
    roots, waiting = _sort_out(homeless, past, topology, now)
    members = {subject: list(found) for subject, found in roots.items()}
    for finding in homeless:
        root = _root_of(finding, roots, topology)
        if root is not None:
            members[root].append(finding)
    opening = []
    for subject, found in sorted(members.items()):
        suggested = cause(found, subject)
        if suggested is not None:
            opening.append(Opening(subject, suggested, tuple(found)))
    return Assignments(
        joining={key: tuple(found) for key, found in joining.items()},
        opening=tuple(opening),
        waiting=tuple(waiting),
    )


def _sort_out(
    homeless: Sequence[Finding], past: Sequence[Incident], topology: Topology, now: float
) -> tuple[dict[Subject, list[Finding]], list[Finding]]:
    """Findings that open an incident on their own subject, and those that must wait."""
    left_over = [f for f in homeless if any(_left_over(f, i, topology, now) for i in past)]
    news = [f for f in homeless if f not in left_over and f.symptom is not Symptom.SILENT]
    roots: dict[Subject, list[Finding]] = {}
    waiting = list(left_over)
    for finding in news:
        if _must_wait(finding, news, topology, now):
            waiting.append(finding)
        else:
            roots.setdefault(finding.subject, []).append(finding)
    return roots, waiting


def _root_of(
    finding: Finding, roots: Mapping[Subject, Sequence[Finding]], topology: Topology
) -> Subject | None:
    """Whose new incident ``finding`` joins, if it is no root itself: whose was seen first."""
    if finding in roots.get(finding.subject, ()):
        return None
    if finding.subject in roots:
        return finding.subject
    below = [s for s in roots if _explains(s, finding, topology)]
    return min(below, key=lambda s: min(f.opened_at for f in roots[s]), default=None)


def _must_wait(finding: Finding, news: Sequence[Finding], topology: Topology, now: float) -> bool:
    if _is_own(finding):
        return False
    if any(_explains(f.subject, finding, topology) for f in news):
        return True  # it is told with what is below it
    node = topology.components.get(finding.subject.component)
    depends = node is not None and bool(node.depends_on)
    whole = not finding.subject.replica
    return (depends or whole) and now - finding.opened_at < CALLER_GRACE_S


def _home(finding: Finding, active: Sequence[Incident], topology: Topology) -> Incident | None:
    """The active incident that ``finding`` belongs to: its own subject's, else the latest below."""
    own = [i for i in active if i.subject == finding.subject]
    if own:
        return max(own, key=lambda i: i.opened_at)
    below = [
        i for i in active if _explains(i.subject, finding, topology) or _burdens(i.subject, finding)
    ]
    return max(below, key=lambda i: i.opened_at, default=None)


def _explains(subject: Subject, finding: Finding, topology: Topology) -> bool:
    """Whether trouble of ``subject`` can show as ``finding`` at a caller."""
    if _is_own(finding):
        return False
    if subject.component == finding.subject.component:
        return bool(subject.replica) and not finding.subject.replica  # a part shows in the whole
    return topology.depends(finding.subject.component, subject.component)


def _burdens(subject: Subject, finding: Finding) -> bool:
    """Whether ``finding`` is what a sibling of ``subject`` shows when it does that one's work, too.
    Only what is told from the usual: who fails or hangs does so for reasons of its own."""
    sibling = finding.subject.replica and subject.component == finding.subject.component
    return bool(sibling and subject.replica) and finding.symptom in _LEARNED


def _is_own(finding: Finding) -> bool:
    if finding.symptom in _LEARNED:
        return False
    return finding.symptom in _OWN or finding.sense is Sense.SCRAPE


def _left_over(finding: Finding, incident: Incident, topology: Topology, now: float) -> bool:
    """It was found before the incident closed, and nothing bad was seen since."""
    closed_at = incident.closed_at
    if closed_at is None or finding.opened_at > closed_at:
        return False
    if incident.subject == finding.subject:
        return finding.last_seen_at <= closed_at
    explained = _explains(incident.subject, finding, topology)
    explained = explained or _burdens(incident.subject, finding)
    return explained and now - closed_at < AFTERMATH_S
