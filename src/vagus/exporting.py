"""Pushing what Vagus says of itself: its metrics, and each incident as a trace once it is over.

A guest in the process. It has a task of its own, asks the tables which incidents ended instead of
being told, and whatever goes wrong with the collector is counted, told once in a while, and tried
again. An incident is tried for an hour; then its trace is given up. That hour counts over restarts:
what ended shortly before this process began is sent again, with the same ids, since nobody knows
whether it arrived.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from vagus.clock import Clock
from vagus.errors import MalformedData, StateError, TargetUnreachable, VagusError
from vagus.metrics import Reading
from vagus.model import Incident
from vagus.model.trace import Trace
from vagus.state.incidents import Incidents
from vagus.state.ledger import Ledger
from vagus.tracing import trace_of

log = structlog.get_logger()

PATIENCE = 3600.0  # s after its end for which an incident's trace is tried
TELL_EVERY = 300.0  # s between two warnings
_PAGE = 200  # incidents looked at in a round

METRICS, TRACES = "metrics", "traces"


class Push(Protocol):
    """Raises TargetUnreachable for what may be tried again, MalformedData for what may not."""

    async def push_trace(self, trace: Trace) -> None: ...

    async def push_metrics(
        self, readings: Sequence[Reading], *, began_at: float, at: float
    ) -> None: ...


class Exporter:
    """``counts`` has (``exported`` | ``failures`` | ``given_up``, signal)."""

    def __init__(
        self,
        push: Push,
        clock: Clock,
        *,
        every: float,
        environment: str,
        readings: Callable[[], Sequence[Reading]],
        incidents: Incidents,
        ledger: Ledger,
        counts: Counter[tuple[str, str]],
    ) -> None:
        self._push = push
        self._clock = clock
        self._every = every
        self._environment = environment
        self._readings = readings
        self._incidents = incidents
        self._ledger = ledger
        self._counts = counts
        self._began_at = clock.now()
        self._since = self._began_at - PATIENCE
        self._done: dict[str, float] = {}  # incidents that are through, and when they ended
        self._waiting: set[str] = set()
        self._told: float | None = None

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(self._every)
            try:
                await self.round()
            except Exception:  # a bug of ours must not be the end of what we tell
                self._counts["failures", TRACES] += 1
                log.exception("export.crashed")

    async def round(self) -> None:
        """Push the metrics, and the traces that are due."""
        with suppress(VagusError):
            readings, at = self._readings(), self._clock.now()
            push = self._push.push_metrics(readings, began_at=self._began_at, at=at)
            await self._try(METRICS, push)
        with suppress(StateError, TargetUnreachable):  # the next round asks again
            await self._push_traces()

    async def _push_traces(self) -> None:
        self._since = max(self._since, self._clock.now() - PATIENCE)
        ended = await asyncio.to_thread(self._incidents.closed_since, self._since, _PAGE)
        self._give_up_all_but(ended)
        for incident in ended:
            if incident.id in self._done:
                continue
            self._waiting.add(incident.id)
            trace = await asyncio.to_thread(self._trace, incident)
            try:
                await self._try(TRACES, self._push.push_trace(trace))
            except MalformedData:  # it will not be had, however often it is sent
                self._counts["given_up", TRACES] += 1
            assert incident.closed_at is not None  # that is how it was found
            self._done[incident.id] = incident.closed_at
            self._waiting.discard(incident.id)
        if len(ended) == _PAGE and ended[-1].closed_at is not None:
            self._since = ended[-1].closed_at

    def _give_up_all_but(self, ended: Sequence[Incident]) -> None:
        """Forget what lies too far back, and count what never got through."""
        names = {incident.id for incident in ended}
        self._counts["given_up", TRACES] += len(self._waiting - names)
        self._waiting &= names
        self._done = {name: at for name, at in self._done.items() if at >= self._since}

    def _trace(self, incident: Incident) -> Trace:
        findings = self._incidents.findings(incident.id)
        entries = self._ledger.of_incident(incident.id)
        return trace_of(incident, findings, entries, self._environment)

    async def _try(self, signal: str, push: Coroutine[None, None, None]) -> None:
        try:
            await push
        except (TargetUnreachable, MalformedData) as error:
            self._counts["failures", signal] += 1
            self._tell(error)
            raise
        self._counts["exported", signal] += 1

    def _tell(self, error: VagusError) -> None:
        now = self._clock.monotonic()
        if self._told is None or now - self._told >= TELL_EVERY:
            self._told = now
            log.warning("export.failed", error=str(error))
