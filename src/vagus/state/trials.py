"""Trials: every verified outcome of a remedy, once.

A trial is named by the token of the effect that was verified, so a verdict that is written again
after a crash, or by a second process, is still one trial. What a record is made of is bounded: the
newest :data:`REMEMBERED` outcomes. A stack changes, and what a remedy did for the stack of two
years ago should not go on proving it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Row, select

from vagus.model import Outcome, Subject, TrackRecord, Trial
from vagus.state import tables
from vagus.state.db import Database

_rows = tables.trials

REMEMBERED = 200  # outcomes of a remedy that its record is made of, the newest ones


class Trials:
    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, trial: Trial) -> bool:
        """Write it down. False: it was recorded before, and stands as it was."""
        with self._database.write() as connection:
            known = select(_rows.c.token).where(_rows.c.token == trial.token)
            if connection.execute(known).first() is not None:
                return False
            connection.execute(
                _rows.insert().values(
                    token=trial.token,
                    at=trial.at,
                    action=trial.action,
                    fault=trial.fault,
                    component=trial.target.component,
                    replica=trial.target.replica,
                    environment=trial.environment,
                    outcome=trial.outcome.value,
                    took=trial.took,
                    experiment=trial.experiment,
                )
            )
            return True

    def track_record(
        self, action: str, fault: str, component: str, environment: str
    ) -> TrackRecord:
        """How ``action`` fared for ``fault`` (empty: for all of them) on all replicas of
        ``component`` together."""
        of_this = [
            _rows.c.action == action,
            _rows.c.component == component,
            _rows.c.environment == environment,
            _rows.c.outcome != Outcome.INCONCLUSIVE.value,
        ]
        if fault:
            of_this.append(_rows.c.fault == fault)
        return TrackRecord.of(action, fault, component, self._newest(REMEMBERED, *of_this))

    def all(self, limit: int = 1000) -> Sequence[Trial]:
        """Newest first."""
        return self._newest(limit)

    def _newest(self, limit: int, *conditions: ColumnElement[bool]) -> Sequence[Trial]:
        wanted = select(_rows).where(*conditions).order_by(_rows.c.at.desc(), _rows.c.token.desc())
        with self._database.read() as connection:
            return [_trial(row) for row in connection.execute(wanted.limit(limit))]


def _trial(row: Row[tuple[object, ...]]) -> Trial:
    return Trial(
        token=row.token,
        at=row.at,
        action=row.action,
        fault=row.fault,
        target=Subject(row.component, row.replica),
        environment=row.environment,
        outcome=Outcome(row.outcome),
        took=row.took,
        experiment=row.experiment,
    )
