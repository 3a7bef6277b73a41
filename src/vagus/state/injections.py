"""Injections: faults that the gate let experiments put in, and what became of them.

As with intents, the gate is asked inside of the transaction that writes its answer, so that two
experiments that ask at the same moment can't both find the last free place. What was refused
stands in the ledger alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, Row, select, update

from vagus.errors import NotFound
from vagus.model import Decision, Injection, Ruling, Subject
from vagus.state import records, tables
from vagus.state.db import Database

_rows = tables.injections


class Injections:
    def __init__(self, database: Database) -> None:
        self._database = database

    def decide(self, injection: Injection, judge: Callable[[], Ruling]) -> Ruling:
        """Ask ``judge``, and write the injection down if it is allowed: one transaction."""
        with self._database.write() as connection:
            ruling = judge()
            if ruling.decision is Decision.ALLOW:
                connection.execute(
                    _rows.insert().values(
                        id=injection.id,
                        experiment=injection.experiment,
                        fault=injection.fault,
                        component=injection.target.component,
                        replica=injection.target.replica,
                        does=injection.does,
                        lease=injection.lease,
                        cap=injection.cap,
                        causes=records.canonical(injection.causes),
                        by=injection.by,
                        asked_at=injection.asked_at,
                        verdict="",
                        note="",
                    )
                )
            return ruling

    def end(self, injection_id: str, verdict: str, note: str) -> Injection:
        """The fault is out again. Ending twice is once: the first verdict stands. Raises NotFound
        if none of this id was let in."""
        with self._database.write() as connection:
            connection.execute(
                update(_rows)
                .where(_rows.c.id == injection_id, _rows.c.ended_at.is_(None))
                .values(ended_at=self._database.clock.now(), verdict=verdict, note=note)
            )
            row = connection.execute(select(_rows).where(_rows.c.id == injection_id)).one_or_none()
        if row is None:
            raise NotFound("there is no such injection", where=injection_id)
        return _injection(row)

    def get(self, injection_id: str) -> Injection | None:
        found = self._where(_rows.c.id == injection_id)
        return found[0] if found else None

    def open(self, now: float) -> Sequence[Injection]:
        """Those that are in, or may be: not ended, and within their lease."""
        found = self._where(_rows.c.ended_at.is_(None))
        return [injection for injection in found if injection.ends_by > now]

    def since(self, at: float) -> Sequence[Injection]:
        """All that were let in after ``at``, oldest first."""
        return self._where(_rows.c.asked_at > at)

    def _where(self, *conditions: ColumnElement[bool]) -> Sequence[Injection]:
        wanted = select(_rows).where(*conditions).order_by(_rows.c.asked_at, _rows.c.id)
        with self._database.read() as connection:
            return [_injection(row) for row in connection.execute(wanted)]


def _injection(row: Row[tuple[object, ...]]) -> Injection:
    return Injection(
        id=row.id,
        experiment=row.experiment,
        fault=row.fault,
        target=Subject(row.component, row.replica),
        does=row.does,
        lease=row.lease,
        cap=row.cap,
        by=row.by,
        asked_at=row.asked_at,
        causes=records.decode(tuple[str, ...], row.causes),
        ended_at=row.ended_at,
        verdict=row.verdict,
        note=row.note,
    )
