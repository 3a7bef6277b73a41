"""Licences: which remedy may act alone, where, until when, and what took that away.

A licence is written once and never changed but to be revoked, and never deleted: what a remedy was
allowed to do on a day can be read years later. Whether one is valid is a question of time, so it is
answered for a moment and not kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Row, select, update

from vagus.errors import StateError
from vagus.model import Licence
from vagus.state import records, tables
from vagus.state.db import Database

_rows = tables.licences


class Licences:
    def __init__(self, database: Database) -> None:
        self._database = database

    def issue(self, licence: Licence) -> Licence:
        """Write it down; one of this id that is there already is returned as it stands.

        Raises StateError for one that names no component, or that would never be valid.
        """
        if not licence.component or licence.expires_at <= licence.issued_at:
            what = "names no component" if not licence.component else "ends before it begins"
            raise StateError(f"a licence that {what} is none", where=licence.id)
        with self._database.write() as connection:
            known = _find(connection, licence.id)
            if known is not None:
                return known
            connection.execute(
                _rows.insert().values(
                    id=licence.id,
                    action=licence.action,
                    component=licence.component,
                    environment=licence.environment,
                    fault=licence.fault,
                    issued_at=licence.issued_at,
                    expires_at=licence.expires_at,
                    issued_by=licence.issued_by,
                    reason=licence.reason,
                    samples=licence.samples,
                    bound=licence.bound,
                    took_p95=licence.took_p95,
                    experiments=records.canonical(licence.experiments),
                    revoked_at=licence.revoked_at,
                    revoked_because=licence.revoked_because,
                )
            )
            return licence

    def get(self, licence_id: str) -> Licence | None:
        with self._database.read() as connection:
            return _find(connection, licence_id)

    def valid(self, now: float) -> Sequence[Licence]:
        """Those that stand at ``now``, oldest first."""
        return self._where(
            _rows.c.revoked_at.is_(None), _rows.c.issued_at <= now, _rows.c.expires_at > now
        )

    def all(self) -> Sequence[Licence]:
        """Expired and revoked ones too, oldest first."""
        return self._where()

    def revoke(self, licence_id: str, because: str) -> Licence:
        """Take it away. Revoking twice is once: the first reason stays.

        Raises StateError if there is none.
        """
        with self._database.write() as connection:
            connection.execute(
                update(_rows)
                .where(_rows.c.id == licence_id, _rows.c.revoked_at.is_(None))
                .values(revoked_at=self._database.clock.now(), revoked_because=because)
            )
            licence = _find(connection, licence_id)
        if licence is None:
            mend = "see which there are: vagus licence list"
            raise StateError("there is no such licence", where=licence_id, mend=mend)
        return licence

    def _where(self, *conditions: ColumnElement[bool]) -> Sequence[Licence]:
        wanted = select(_rows).where(*conditions).order_by(_rows.c.issued_at, _rows.c.id)
        with self._database.read() as connection:
            return [_licence(row) for row in connection.execute(wanted)]


def _find(connection: Connection, licence_id: str) -> Licence | None:
    row = connection.execute(select(_rows).where(_rows.c.id == licence_id)).one_or_none()
    return None if row is None else _licence(row)


def _licence(row: Row[tuple[object, ...]]) -> Licence:
    return Licence(
        id=row.id,
        action=row.action,
        component=row.component,
        environment=row.environment,
        fault=row.fault,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        issued_by=row.issued_by,
        reason=row.reason,
        samples=row.samples,
        bound=row.bound,
        took_p95=row.took_p95,
        experiments=records.decode(tuple[str, ...], row.experiments),
        revoked_at=row.revoked_at,
        revoked_because=row.revoked_because,
    )
