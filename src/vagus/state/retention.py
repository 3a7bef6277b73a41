"""What is over for long is forgotten: findings, requests and proposals of old incidents.

The incident itself stays, with its cause and how it ended, and so does everything in the ledger,
which is never cut: a chain with a piece taken out proves nothing any more, and an entry that may be
removed is one of which nobody can say why it is missing. Trials stay too: they are what remedies
have earned. That something was forgotten is itself an entry of the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy import delete, or_, select

from vagus.clock import Clock
from vagus.errors import StateError
from vagus.state import tables
from vagus.state.db import Database
from vagus.state.incidents import CLOSED
from vagus.state.ledger import Ledger

log = structlog.get_logger()

EVERY = 3600.0  # s between two rounds
BATCH = 100  # incidents in one transaction, so that nobody waits long for the lock


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows went, of how many incidents."""

    incidents: int = 0
    findings: int = 0
    intents: int = 0
    proposals: int = 0

    def __add__(self, other: Forgotten) -> Forgotten:
        return Forgotten(
            self.incidents + other.incidents,
            self.findings + other.findings,
            self.intents + other.intents,
            self.proposals + other.proposals,
        )


class Retention:
    """Keeps the rows of incidents that are over for ``age`` seconds; None: for good."""

    def __init__(self, database: Database, age: float | None, clock: Clock) -> None:
        self._database = database
        self._age = age
        self._clock = clock
        self._next = clock.monotonic()

    def due(self) -> bool:
        """Whether it is time to :meth:`run`; each time is told once."""
        now = self._clock.monotonic()
        if self._age is None or now < self._next:
            return False
        self._next = now + EVERY
        return True

    def run(self) -> Forgotten:
        """Forget what is old enough. May take a while: call it from a thread of its own. What could
        not be forgotten now is tried again in the next round."""
        total = Forgotten()
        if self._age is None:
            return total
        before = self._clock.now() - self._age
        try:
            while (batch := _forget(self._database, before)).incidents:
                total += batch
            if total.incidents:
                _tell(self._database, before, total)
        except StateError as error:
            log.warning("state.not_forgotten", error=str(error))
        return total


def _forget(database: Database, before: float) -> Forgotten:
    """The rows of a few incidents that ended before then."""
    incidents, findings = tables.incidents, tables.findings
    intents, proposals, answers = tables.intents, tables.proposals, tables.answers
    has_rows = or_(
        *(
            select(rows.c.incident).where(rows.c.incident == incidents.c.id).exists()
            for rows in (findings, intents, proposals)
        )
    )
    over = incidents.c.state.in_([state.value for state in CLOSED])
    old = select(incidents.c.id).where(over, incidents.c.closed_at < before, has_rows).limit(BATCH)
    with database.write() as connection:
        names = connection.execute(old).scalars().all()
        mine = select(proposals.c.id).where(proposals.c.incident.in_(names))
        connection.execute(delete(answers).where(answers.c.proposal.in_(mine)))
        counts = [
            connection.execute(delete(rows).where(rows.c.incident.in_(names))).rowcount
            for rows in (findings, intents, proposals)
        ]
    return Forgotten(len(names), *counts)


def _tell(database: Database, before: float, total: Forgotten) -> None:
    facts = {
        "before": before,
        "incidents": total.incidents,
        "findings": total.findings,
        "intents": total.intents,
        "proposals": total.proposals,
        "note": f"details of {total.incidents} incidents that ended long ago",
    }
    Ledger(database).append("vagus", f"forgotten:{before:.6f}", "forgotten", facts)
