"""Overrides: desired traffic on top of the stack as declared, one row a subject, aspect, incident.

A row belongs to the incident that put it. Two incidents may hold the same replica out of traffic,
and either lets go of its own row only. An expired row stays until it is dropped: whoever renders
traffic decides what is in force now.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Row, delete, select

from vagus.model import Aspect, Override, Subject
from vagus.state import tables
from vagus.state.db import Database

_rows = tables.overrides


class Overrides:
    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, override: Override) -> None:
        """Insert, or replace the row of the same subject, aspect and incident."""
        with self._database.write() as connection:
            self.drop(override.incident, override.subject, override.aspect)
            connection.execute(
                _rows.insert().values(
                    component=override.subject.component,
                    replica=override.subject.replica,
                    aspect=override.aspect.value,
                    incident=override.incident,
                    value=override.value,
                    created_at=override.created_at,
                    expires_at=override.expires_at,
                )
            )

    def drop(self, incident: str, subject: Subject, aspect: Aspect | None = None) -> None:
        """Remove what ``incident`` wants of ``subject``, in one aspect or in all."""
        gone = delete(_rows).where(
            _rows.c.incident == incident,
            _rows.c.component == subject.component,
            _rows.c.replica == subject.replica,
        )
        if aspect is not None:
            gone = gone.where(_rows.c.aspect == aspect.value)
        with self._database.write() as connection:
            connection.execute(gone)

    def all(self, component: str = "") -> Sequence[Override]:
        """Every row, of one component or of all, oldest first."""
        ordered = select(_rows).order_by(
            _rows.c.created_at, _rows.c.component, _rows.c.replica, _rows.c.aspect
        )
        if component:
            ordered = ordered.where(_rows.c.component == component)
        with self._database.read() as connection:
            return [_override(row) for row in connection.execute(ordered)]


def _override(row: Row[tuple[object, ...]]) -> Override:
    return Override(
        subject=Subject(row.component, row.replica),
        aspect=Aspect(row.aspect),
        value=row.value,
        incident=row.incident,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
