"""Who leads: one row, with an end by the clock that everybody shares and a number that only grows.

The number is what tells a leader from its ghost. A process that was stopped for a while, or cut off
from the database, may still believe that it leads when another has long taken over; with the number
in its hand it can be asked (:meth:`Leader.stands`), and is, inside of every transaction in which it
would write.

To take over needs the write lock, so no write of the former leader is under way meanwhile. To renew
does not: in a storm of writes the one who works most must not lose the lead by queueing.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, select, update

from vagus.state import tables
from vagus.state.db import Database

_row = tables.leader
_THE_ONE = _row.c.id == 1


@dataclass(frozen=True, slots=True)
class Term:
    """One time of leading."""

    owner: str
    fencing: int


class Leader:
    def __init__(self, database: Database) -> None:
        self._database = database

    def current(self) -> tuple[Term, float] | None:
        """The last term that began, and for how many seconds it still holds (not any more: < 0)."""
        with self._database.read() as connection:
            row = connection.execute(
                select(_row, self._database.time.label("now")).where(_THE_ONE)
            ).one_or_none()
        return None if row is None else (Term(row.owner, row.fencing), row.expires_at - row.now)

    def take(self, owner: str, ttl: float) -> Term | None:
        """Begin a term of ``ttl`` seconds, or None while somebody else's holds."""
        with self._database.write() as connection:
            current = self.current()
            if current is None:
                term = Term(owner, 1)
                values = {"id": 1, "owner": owner, "fencing": 1}
                connection.execute(
                    _row.insert().values(**values, expires_at=self._database.time + ttl)
                )
                return term
            before, left = current
            if left > 0:
                return None
            term = Term(owner, before.fencing + 1)
            taken = connection.execute(
                update(_row)
                .where(_is(before), _row.c.expires_at <= self._database.time)  # it may have renewed
                .values(owner=owner, fencing=term.fencing, expires_at=self._database.time + ttl)
            )
            return term if taken.rowcount == 1 else None

    def renew(self, term: Term, ttl: float) -> bool:
        """Let ``term`` hold for ``ttl`` seconds from now. False: another has begun.

        A term that ran out and that nobody else took goes on: nothing happened in between.
        """
        with self._database.brief() as connection:
            renewed = connection.execute(
                update(_row).where(_is(term)).values(expires_at=self._database.time + ttl)
            )
            return renewed.rowcount == 1

    def stands(self, term: Term, connection: Connection) -> bool:
        """Whether no later term has begun, in the transaction of ``connection``."""
        return connection.execute(select(_row.c.id).where(_is(term))).first() is not None

    def resign(self, term: Term) -> None:
        """End ``term`` now, if it is the current one."""
        with self._database.brief() as connection:
            connection.execute(update(_row).where(_is(term)).values(expires_at=0.0))


def _is(term: Term) -> ColumnElement[bool]:
    return and_(_THE_ONE, _row.c.owner == term.owner, _row.c.fencing == term.fencing)
