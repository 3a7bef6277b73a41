"""The main path: sense, detect, correlate, diagnose, and make sure that it is being healed.

Evidence comes in batches, from every source, through one bounded queue, and is judged as it comes:
reflexes do not wait for the grid. The tick, once per interval, looks at what only time can show
(work that stands still, silence) and reconciles: every open incident has its workflow, whatever
became of the message that should have started it (``reconcile.py``). All of this runs on one event
loop and in this order; what takes long (the workflows) runs elsewhere and meets the loop in tables.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

import structlog

from vagus.clock import Clock
from vagus.detection.detectors import Detector
from vagus.detection.senses import Senses
from vagus.diagnosis.changes import blame
from vagus.diagnosis.correlate import correlate
from vagus.diagnosis.rank import cause
from vagus.entries import of_finding, of_incident
from vagus.errors import Conflict, StateUnavailable
from vagus.model import Evidence, Finding, Incident, Rollout
from vagus.ports import Incidents, Ledger, Source
from vagus.reconcile import Reconciler
from vagus.topology import Topology

log = structlog.get_logger()

QUEUE_BATCHES = 4096  # a full queue drops evidence, and counts it: better blind than out of memory
AFTERMATH = 20  # incidents that are over and may still explain what is found
SOURCE_RESTART = 1.0  # s until a source that broke is started again
"""A source handles its targets' troubles itself; one that raises has a bug, which must not blind
the others."""


class Loop:
    def __init__(
        self,
        *,
        clock: Clock,
        interval: float,
        topology: Callable[[], Topology],
        sources: Sequence[Source],
        remember: Sequence[Callable[[Sequence[Evidence]], None]],
        detectors: Detector,
        senses: Senses,
        incidents: Incidents,
        ledger: Ledger,
        rollouts: Callable[[], Mapping[str, Rollout]],
        reconciler: Reconciler,
        on_tick: Callable[[float], None],
    ) -> None:
        self._clock = clock
        self._interval = interval
        self._topology = topology
        self._sources = sources
        self._remember = remember
        self._detectors = detectors
        self._senses = senses
        self._incidents = incidents
        self._ledger = ledger
        self._rollouts = rollouts
        self._reconciler = reconciler
        self._on_tick = on_tick
        self._queue: asyncio.Queue[Sequence[Evidence]] = asyncio.Queue(QUEUE_BATCHES)
        self._unsaid: list[Finding] = []  # changes that are not, or not all, in the state yet
        self._state_is_away = False
        self._waiting = False  # findings that correlation wants to be asked about again
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            for source in self._sources:
                group.create_task(self._keep_running(source), name=source.name)
            group.create_task(self._digest(), name="digest")
            group.create_task(self._tick(), name="tick")

    async def _keep_running(self, source: Source) -> None:
        while True:
            try:
                await source.run(self.emit)
            except Exception:
                self.counts["source_crashes"] += 1
                log.exception("source.crashed", source=source.name)
            await self._clock.sleep(SOURCE_RESTART)

    def emit(self, batch: Sequence[Evidence]) -> None:
        """Take a batch of evidence; never blocks."""
        try:
            self._queue.put_nowait(batch)
        except asyncio.QueueFull:
            self.counts["evidence_dropped"] += len(batch)

    async def _digest(self) -> None:
        while True:
            batch = await self._queue.get()
            self.sense(batch)
            if not self._state_is_away:  # the tick asks whether it is back
                with self._holding_still():
                    await self.detect()

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(self._interval)
            with self._holding_still():
                self._on_tick(self._clock.now())
                await self.detect()
                await self._reconciler.reconcile()

    @contextmanager
    def _holding_still(self) -> Iterator[None]:
        """While the state can't be reached nothing is decided. Evidence is still taken in, and what
        was found waits to be said."""
        try:
            yield
        except StateUnavailable as error:
            self.counts["state_unavailable"] += 1
            if not self._state_is_away:
                log.warning("state.unavailable", error=str(error))
            self._state_is_away = True
        else:
            if self._state_is_away:
                log.info("state.back")
            self._state_is_away = False

    def sense(self, batch: Sequence[Evidence]) -> None:
        """Hand ``batch`` to everything that remembers or judges evidence."""
        self.counts["evidence"] += len(batch)
        for remember in self._remember:
            remember(batch)
        self._senses.observe(batch)
        self._detectors.observe(batch)

    async def detect(self) -> None:
        """What changed in the findings, and what follows from it."""
        now = self._clock.now()
        self._unsaid += self._detectors.evaluate(now)
        for finding in self._unsaid:
            self._tell_finding(finding)
        changes = list({finding.key: finding for finding in self._unsaid}.values())
        if not changes and not self._waiting:
            return
        assigned = correlate(
            changes, self._detectors.open_findings(), self._known_incidents(), self._topology(), now
        )
        self._waiting = bool(assigned.waiting)
        for incident_id, findings in assigned.joining.items():
            self._incidents.record_findings(incident_id, findings)
            self._rank_anew(incident_id)
        for opening in assigned.opening:
            blamed = blame(opening.cause, self._rollouts(), now)
            incident = self._incidents.open(opening.subject, blamed, opening.findings)
            self._tell_opened(incident, opening.findings)
        self._unsaid = []  # all of it is written down: nothing above may be lost halfway
        if assigned.opening:
            await self._reconciler.admit()

    def _tell_opened(self, incident: Incident, findings: Sequence[Finding]) -> None:
        """Taken once by the ledger, however often it is said: it is said again when findings join,
        in case that a crash, or the state's absence, came between the row and the entry."""
        first = replace(incident, epoch=1)
        facts = of_incident(incident, [finding.sentence for finding in findings])
        self._ledger.append(first.workflow_id, "open", "incident.opened", facts)

    def _rank_anew(self, incident_id: str) -> None:
        """What joins an incident may name its cause better: what was slow a second ago may hang,
        and what was left to people an hour ago may have got a new version. The next plan is for
        the cause as it is then."""
        incident = self._incidents.get(incident_id)
        findings = self._incidents.findings(incident_id, open_only=True)
        self._tell_opened(incident, findings)
        ranked = cause(findings, incident.subject)
        if incident.closed_at is not None or ranked is None:
            return
        ranked = blame(ranked, self._rollouts(), self._clock.now())
        if ranked.fault != incident.cause.fault:
            with suppress(Conflict):  # its workflow was faster; the next finding asks again
                self._incidents.update(incident, cause=ranked)

    def _known_incidents(self) -> list[Incident]:
        """The active ones, and the latest that are over: what lingers of them is no news."""
        known = {i.id: i for i in self._incidents.recent(AFTERMATH)}
        known |= {i.id: i for i in self._incidents.active()}
        return list(known.values())

    def _tell_finding(self, finding: Finding) -> None:
        event = "finding.opened" if finding.closed_at is None else "finding.closed"
        step = f"{finding.key}:{finding.opened_at:.6f}"
        self._ledger.append("loop", step, event, of_finding(finding))
