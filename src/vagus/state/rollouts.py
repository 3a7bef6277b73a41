"""Rollouts: the deployments that Vagus was told of.

A change is the first thing that anybody asks about when something breaks. Of each component one
rollout at a time may be under way: were there two, nobody could say which of them to take back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection, Row, func, select, update

from vagus.errors import Conflict, StateError
from vagus.model import Rollout
from vagus.state import tables
from vagus.state.db import Database

_rows = tables.deployments


class Rollouts:
    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, rollout: Rollout) -> Rollout:
        """Write it down. One of this id that is there already is returned as it stands; raises
        Conflict while another one of the component is under way."""
        with self._database.write() as connection:
            known = _find(connection, rollout.id)
            if known is not None:
                return known
            running = connection.execute(
                select(_rows.c.id).where(
                    _rows.c.component == rollout.component, _rows.c.finished_at.is_(None)
                )
            ).scalar()
            if running is not None:
                raise Conflict(
                    f"{rollout.component} is in the middle of another rollout",
                    where=str(running),
                    mend=f"finish it first: vagus deploy finish {running}",
                )
            connection.execute(
                _rows.insert().values(
                    id=rollout.id,
                    component=rollout.component,
                    version=rollout.version,
                    previous=rollout.previous,
                    replicas=json.dumps(list(rollout.replicas)),
                    started_at=rollout.started_at,
                    started_by=rollout.started_by,
                    finished_at=rollout.finished_at,
                    verdict=rollout.verdict,
                )
            )
            return rollout

    def finish(self, rollout_id: str, verdict: str) -> Rollout:
        """End it; raises StateError if there is none. Finishing twice is once."""
        with self._database.write() as connection:
            connection.execute(
                update(_rows)
                .where(_rows.c.id == rollout_id, _rows.c.finished_at.is_(None))
                .values(finished_at=self._database.clock.now(), verdict=verdict)
            )
            found = _find(connection, rollout_id)
        if found is None:
            raise StateError("there is no such rollout", where=rollout_id, mend="vagus deploy list")
        return found

    def get(self, rollout_id: str) -> Rollout | None:
        with self._database.read() as connection:
            return _find(connection, rollout_id)

    def latest(self) -> Mapping[str, Rollout]:
        """The newest of each component, under way or not."""
        newest = (
            select(_rows.c.component, func.max(_rows.c.started_at).label("at"))
            .group_by(_rows.c.component)
            .subquery()
        )
        wanted = select(_rows).join(
            newest,
            (_rows.c.component == newest.c.component) & (_rows.c.started_at == newest.c.at),
        )
        with self._database.read() as connection:
            return {row.component: _rollout(row) for row in connection.execute(wanted)}


def _find(connection: Connection, rollout_id: str) -> Rollout | None:
    row = connection.execute(select(_rows).where(_rows.c.id == rollout_id)).one_or_none()
    return None if row is None else _rollout(row)


def _rollout(row: Row[tuple[object, ...]]) -> Rollout:
    return Rollout(
        id=row.id,
        component=row.component,
        version=row.version,
        previous=row.previous,
        replicas=tuple(json.loads(row.replicas)),
        started_at=row.started_at,
        started_by=row.started_by,
        finished_at=row.finished_at,
        verdict=row.verdict,
    )
