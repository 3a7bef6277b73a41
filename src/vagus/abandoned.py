"""Incidents that their workflow left open: it ended, and did not say how.

A workflow concludes its incident itself. One that breaks on a mistake of ours can't, and neither
can one that was given up after too many recoveries or that another version of Vagus began; the
process may have died at any point in between. Guarding each of these where it happens would leave
the next one out. So nothing is guarded, and the two tables are compared: whoever is open and whose
workflow has ended, or will never go on, is told to people, with what it ended of, and is tried
again after a while that doubles each time. What was held back stays held back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from vagus.clock import Clock
from vagus.errors import Conflict
from vagus.model import Incident, IncidentState
from vagus.ports import Incidents, Ledger

RETRY = 60.0  # s until a new workflow tries; twice as long after each one that broke
RETRY_MOST = 3600.0

Ended = Callable[[Collection[str]], Mapping[str, str]]
"""Of these workflows, by id: those that are over, or will never go on, and why."""


class Abandoned:
    def __init__(self, incidents: Incidents, ledger: Ledger, clock: Clock, ended: Ended) -> None:
        self._incidents = incidents
        self._ledger = ledger
        self._clock = clock
        self._ended = ended

    def look(self, incidents: Sequence[Incident]) -> None:
        """Escalate those of ``incidents``, which are open as they were just read, whose workflow
        has ended. One that was concluded in this very moment is of another version by now."""
        ended = self._ended([incident.workflow_id for incident in incidents])
        for incident in incidents:
            why = ended.get(incident.workflow_id)
            if why is not None:
                with suppress(Conflict):
                    self._escalate(incident, f"its healing broke: {why}")

    def _escalate(self, incident: Incident, note: str) -> None:
        wait = min(RETRY * 2.0 ** (incident.epoch - 1), RETRY_MOST)
        escalated = self._incidents.update(
            incident,
            state=IncidentState.ESCALATED,
            note=note,
            retry_at=self._clock.now() + wait,
        )
        facts = {"note": note, "subject": str(incident.subject), "fault": incident.cause.fault}
        self._ledger.append(escalated.workflow_id, "abandoned", "escalated", facts)
