"""The reconciler: every open incident has its workflow, whatever became of the message for it.

It is level-triggered. It does not ask what happened but what is: which incidents are open, which of
them are being healed, which have no evidence left. So a message that was lost, a crash, or a
workflow that escalated an hour ago all come to the same: the next tick sets it right.

It is also where a storm is met. A workflow costs a thread and writes, so of a thousand incidents at
once only so many are *admitted*, the most urgent first, and the rest wait here, as rows, which cost
nothing. Two things must not freeze it (Karpenter's lesson, see the budget guard). An incident that
waits for a person holds no place. And one that is more urgent than all that work now overtakes
them, up to some more places: a wave of false alarms may hold every place for minutes, while it
waits for evidence that won't come.

A workflow that was started and is over, while its incident is still open, is seen here as well
(:mod:`vagus.abandoned`): having been started is no proof of being healed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace

from vagus.clock import Clock
from vagus.diagnosis.faults import harm_of
from vagus.errors import Conflict
from vagus.model import Finding, Incident, IncidentState
from vagus.ports import Incidents
from vagus.topology import Topology

ADMITTED = 32  # incidents whose workflows work at the same time
MOST = 200  # those that wait for people included: each holds a thread of the workflow engine
OVERTAKING = 0.5  # of that, beyond it, for those that are more urgent than all that work
LOOK_AFTER = 5.0  # s between two looks at whether the workflows that were started still run
LOOKED = 5.0  # s after which a fresh start has seen every target several times

Start = Callable[[Incident], Awaitable[None]]
LookAfter = Callable[[Sequence[Incident]], Awaitable[None]]


async def _nobody(incidents: Sequence[Incident]) -> None:
    """Where no workflow can end by itself."""


class Reconciler:
    """``start`` begins the workflow ``incident:epoch`` and does nothing if it began before;
    ``open_findings`` is what detection finds now; ``asking`` names the incidents that wait for
    people; ``look_after`` is shown open incidents whose workflow was started, and sees to those
    that it left."""

    def __init__(
        self,
        *,
        clock: Clock,
        incidents: Incidents,
        topology: Callable[[], Topology],
        open_findings: Callable[[], Sequence[Finding]],
        asking: Callable[[], Collection[str]],
        start: Start,
        look_after: LookAfter = _nobody,
        admitted: int = ADMITTED,
    ) -> None:
        self._clock = clock
        self._incidents = incidents
        self._topology = topology
        self._open_findings = open_findings
        self._asking = asking
        self._start = start
        self._look_after = look_after
        self._looked_at = clock.now()
        self._admitted = admitted
        self._began_at = clock.now()
        self._started: set[str] = set()  # workflows of incidents that are still open
        self.waiting = 0  # incidents that were not admitted yet

    async def reconcile(self) -> None:
        """Set right what the incidents' rows and the workflows disagree about."""
        now = self._clock.now()
        evidence = self._evidence(now)
        active = [
            self._moved_on(incident, now, sick=incident.id in evidence)
            for incident in self._incidents.active()
        ]
        await self._admit([i for i in active if i.state is IncidentState.OPEN])
        if now - self._looked_at >= LOOK_AFTER:
            self._looked_at = now
            running = [i for i in self._incidents.active() if self._runs(i)]
            await self._look_after([i for i in running if i.state is IncidentState.OPEN])

    async def admit(self) -> None:
        """Start what there is room for: new incidents don't wait for the tick."""
        active = self._incidents.active()
        await self._admit([i for i in active if i.state is IncidentState.OPEN])

    async def _admit(self, open_incidents: Sequence[Incident]) -> None:
        self._started &= {incident.workflow_id for incident in open_incidents}
        asking, harm = self._asking(), self._harm()
        running = [i for i in open_incidents if self._runs(i)]
        working = [i for i in running if i.id not in asking]
        queue = [i for i in open_incidents if not self._runs(i)]
        queue.sort(key=lambda incident: (-harm(incident), incident.opened_at))
        bar = max(map(harm, working), default=math.inf)  # nobody holds a place: nobody is overtaken
        room = self._admitted - len(working)
        for place, incident in enumerate(queue):
            overtaking = int(OVERTAKING * self._admitted) if harm(incident) > bar else 0
            if place >= min(room + overtaking, MOST - len(running)):
                break
            await self._start(incident)
            self._started.add(incident.workflow_id)
        self.waiting = sum(1 for incident in queue if not self._runs(incident))

    def _runs(self, incident: Incident) -> bool:
        return incident.workflow_id in self._started

    def _harm(self) -> Callable[[Incident], float]:
        topology = self._topology()
        sick = Counter(f.subject.component for f in self._open_findings())
        return lambda i: urgency(i, topology, sick[i.subject.component])

    def _moved_on(self, incident: Incident, now: float, *, sick: bool) -> Incident:
        """Well again, or time to try again: a new workflow returns traffic or treats."""
        due = incident.retry_at is not None and now >= incident.retry_at
        try:
            if incident.state is IncidentState.SHADOWED and not sick:
                return self._incidents.update(incident, state=IncidentState.SUBSIDED)
            if incident.state is IncidentState.ESCALATED and (not sick or due):
                return self._incidents.update(incident, state=IncidentState.OPEN, new_epoch=True)
        except Conflict:
            return self._incidents.get(incident.id)  # its workflow was faster
        return incident

    def _evidence(self, now: float) -> Collection[str]:
        """The incidents that still have open findings. What an earlier run found and this one,
        having looked for a while, does not find is closed: its detector's memory ended with that
        run."""
        open_findings = self._incidents.open_findings()
        if now - self._began_at < LOOKED:
            return open_findings.keys()
        found = {finding.key for finding in self._open_findings()}
        evidence = set(open_findings)
        for name, findings in open_findings.items():
            lost = [f for f in findings if f.last_seen_at < self._began_at and f.key not in found]
            if lost:
                closed = [replace(f, closed_at=now) for f in lost]
                self._incidents.record_findings(name, closed)
            if len(lost) == len(findings):
                evidence.discard(name)
        return evidence


def urgency(incident: Incident, topology: Topology, sick: int = 1) -> float:
    """The share of its component's callers that are harmed, as far as it is believed: what its
    fault does to whoever is sent there, times the replica's part in the component, times the
    confidence, and more where siblings are ``sick`` as well and can't take over. From 0 up to 1."""
    node = topology.components.get(incident.subject.component)
    replicas = max(1, len(node.replicas) if node is not None else 1)
    whole = not incident.subject.replica
    share = 1.0 if whole else min(1.0, max(1, sick) / replicas)
    return harm_of(incident.cause.fault) * incident.cause.confidence * share
