"""Incidents and their findings: the truth that the loop and the workflows meet in.

Every transition is compare-and-set on ``version``: whoever decided on an older reading gets a
Conflict and reads again. Findings are evidence and not decisions, so recording one changes no
version.

``retry_at`` belongs to one escalation. It is cleared when a new epoch begins and whenever the
incident enters another state than ESCALATED, unless the same call gives a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, Row, and_, case, func, or_, select, update

from vagus.errors import Conflict, NotFound, StateError
from vagus.model import Cause, Finding, Incident, IncidentState, Sense, Subject, Symptom
from vagus.state import records, tables
from vagus.state.db import Database

_rows = tables.incidents
_findings = tables.findings

CLOSED = frozenset({IncidentState.RESOLVED, IncidentState.SUBSIDED})
_URGENCY = (IncidentState.OPEN, IncidentState.ESCALATED, IncidentState.SHADOWED)


class Incidents:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, subject: Subject, cause: Cause, findings: Sequence[Finding]) -> Incident:
        """A new incident with its findings, in one transaction.

        Idempotent while one is active: if there is one of the same subject and fault, the findings
        join it and it is returned. Two that notice the same thing at once thus open one incident.
        """
        with self._database.write() as connection:
            incident = next(
                (
                    known
                    for known in self.active(subject.component)
                    if known.subject == subject and known.cause.fault == cause.fault
                ),
                None,
            )
            if incident is None:
                now = self._database.clock.now()
                name = _new_id(connection, subject, cause, now)
                incident = Incident(name, subject, cause, IncidentState.OPEN, now)
                connection.execute(_rows.insert().values(id=name, **_columns(incident)))
            self.record_findings(incident.id, findings)
            return incident

    def get(self, incident_id: str) -> Incident:
        """Raises NotFound if there is none."""
        with self._database.read() as connection:
            return _get(connection, incident_id)

    def active(self, component: str = "") -> Sequence[Incident]:
        """Those that are not over, most urgent first: whose workflow runs, then those that wait
        for a person, then shadowed ones; the oldest first among equals."""
        rank = case(
            {state.value: place for place, state in enumerate(_URGENCY)}, value=_rows.c.state
        )
        wanted = (
            select(_rows)
            .where(_rows.c.state.in_([state.value for state in _URGENCY]))
            .order_by(rank, _rows.c.opened_at, _rows.c.id)
        )
        if component:
            wanted = wanted.where(_rows.c.component == component)
        with self._database.read() as connection:
            return [_incident(row) for row in connection.execute(wanted)]

    def recent(self, limit: int, *, before: str | None = None) -> Sequence[Incident]:
        """The newest ones in whatever state, newest first; with ``before``, those that follow the
        incident of this id. Raises NotFound if there is none."""
        wanted = select(_rows).order_by(_rows.c.opened_at.desc(), _rows.c.id).limit(limit)
        with self._database.read() as connection:
            if before is not None:
                last = _get(connection, before)
                same_instant = and_(_rows.c.opened_at == last.opened_at, _rows.c.id > last.id)
                wanted = wanted.where(or_(_rows.c.opened_at < last.opened_at, same_instant))
            return [_incident(row) for row in connection.execute(wanted)]

    def by_state(self) -> Mapping[IncidentState, tuple[int, float]]:
        """How many there are, and how long those that are over lasted, added up, in s."""
        lasted = func.coalesce(func.sum(_rows.c.closed_at - _rows.c.opened_at), 0.0)
        wanted = select(_rows.c.state, func.count(), lasted).group_by(_rows.c.state)
        with self._database.read() as connection:
            return {IncidentState(s): (n, float(t)) for s, n, t in connection.execute(wanted)}

    def closed_since(self, at: float, limit: int) -> Sequence[Incident]:
        """Those that ended ``at`` or later, the first of them first."""
        ended = _rows.c.state.in_([state.value for state in CLOSED])
        wanted = (
            select(_rows)
            .where(ended, _rows.c.closed_at >= at)
            .order_by(_rows.c.closed_at, _rows.c.id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_incident(row) for row in connection.execute(wanted)]

    def update(
        self,
        incident: Incident,
        *,
        state: IncidentState | None = None,
        cause: Cause | None = None,
        activity: str | None = None,
        note: str | None = None,
        retry_at: float | None = None,
        new_epoch: bool = False,
    ) -> Incident:
        """Change what is given (None: as it was) and return the incident as it is now.

        Raises :class:`~vagus.errors.Conflict` when the row is no longer at ``incident.version``.
        """
        with self._database.write() as connection:
            now = self._database.clock.now()
            current = _get(connection, incident.id)
            if current.version != incident.version:
                raise Conflict(
                    f"is at version {current.version} and not at {incident.version} any more",
                    where=incident.id,
                    mend="read it again",
                )
            changed = replace(
                current,
                state=current.state if state is None else state,
                cause=current.cause if cause is None else cause,
                activity=current.activity if activity is None else activity,
                note=current.note if note is None else note,
                epoch=current.epoch + new_epoch,
                version=current.version + 1,
                retry_at=_retry_at(current, state, retry_at, new_epoch),
            )
            if state is not None:
                changed = replace(changed, closed_at=_closed_at(current, state, now))
            connection.execute(
                update(_rows).where(_rows.c.id == incident.id).values(**_columns(changed))
            )
            return changed

    def record_findings(self, incident_id: str, findings: Iterable[Finding]) -> None:
        """Insert or update findings by key; a finding with ``closed_at`` is closed."""
        with self._database.write() as connection:
            _get(connection, incident_id)
            for finding in findings:
                key = {
                    "incident": incident_id,
                    "component": finding.subject.component,
                    "replica": finding.subject.replica,
                    "symptom": finding.symptom.value,
                    "sense": finding.sense.value,
                }
                values = {
                    "opened_at": finding.opened_at,
                    "last_seen_at": finding.last_seen_at,
                    "sentence": finding.sentence,
                    "samples": finding.samples,
                    "observed": finding.observed,
                    "expected": finding.expected,
                    "unit": finding.unit,
                    "since": finding.since,
                    "closed_at": finding.closed_at,
                }
                known = update(_findings).where(*(_findings.c[k] == v for k, v in key.items()))
                if connection.execute(known.values(**values)).rowcount == 0:
                    connection.execute(_findings.insert().values(**key, **values))

    def open_findings(self, component: str = "") -> Mapping[str, Sequence[Finding]]:
        """By incident: what is open of the active incidents of ``component``, or of all."""
        wanted = (
            select(_findings)
            .join(_rows, _rows.c.id == _findings.c.incident)
            .where(
                _rows.c.state.in_([state.value for state in _URGENCY]),
                _findings.c.closed_at.is_(None),
            )
            .order_by(_findings.c.opened_at)
        )
        if component:
            wanted = wanted.where(_rows.c.component == component)
        found: dict[str, list[Finding]] = {}
        with self._database.read() as connection:
            for row in connection.execute(wanted):
                found.setdefault(row.incident, []).append(_finding(row))
        return found

    def findings(self, incident_id: str, *, open_only: bool = False) -> Sequence[Finding]:
        """The incident's findings, oldest first."""
        wanted = select(_findings).where(_findings.c.incident == incident_id)
        if open_only:
            wanted = wanted.where(_findings.c.closed_at.is_(None))
        wanted = wanted.order_by(
            _findings.c.opened_at, _findings.c.replica, _findings.c.symptom, _findings.c.sense
        )
        with self._database.read() as connection:
            return [_finding(row) for row in connection.execute(wanted)]


def _new_id(connection: Connection, subject: Subject, cause: Cause, now: float) -> str:
    """Short enough to be typed, and not one that an earlier state file may have given: the workflow
    engine, whose file outlives ours, would take its workflow for one that has already run."""
    for attempt in range(1000):
        text = f"{subject}|{cause.fault}|{now!r}|{attempt}"
        name = "inc-" + hashlib.sha256(text.encode()).hexdigest()[:8]
        if connection.execute(select(_rows.c.id).where(_rows.c.id == name)).first() is None:
            return name
    raise StateError(f"no free name for an incident of {subject}")


def _retry_at(
    current: Incident, state: IncidentState | None, given: float | None, new_epoch: bool
) -> float | None:
    if given is not None:
        return given
    if new_epoch or state not in (None, IncidentState.ESCALATED):
        return None
    return current.retry_at


def _closed_at(current: Incident, state: IncidentState, now: float) -> float | None:
    if state not in CLOSED:
        return None
    return current.closed_at if current.state in CLOSED else now


def _get(connection: Connection, incident_id: str) -> Incident:
    row = connection.execute(select(_rows).where(_rows.c.id == incident_id)).one_or_none()
    if row is None:
        raise NotFound("there is no such incident", where=incident_id, mend="vagus incidents")
    return _incident(row)


def _columns(incident: Incident) -> dict[str, str | float | int | None]:
    """All but the id, which never changes."""
    return {
        "component": incident.subject.component,
        "replica": incident.subject.replica,
        "cause": records.canonical(incident.cause),
        "state": incident.state.value,
        "opened_at": incident.opened_at,
        "epoch": incident.epoch,
        "version": incident.version,
        "activity": incident.activity,
        "note": incident.note,
        "closed_at": incident.closed_at,
        "retry_at": incident.retry_at,
    }


def _incident(row: Row[tuple[object, ...]]) -> Incident:
    return Incident(
        id=row.id,
        subject=Subject(row.component, row.replica),
        cause=records.decode(Cause, row.cause),
        state=IncidentState(row.state),
        opened_at=row.opened_at,
        epoch=row.epoch,
        version=row.version,
        activity=row.activity,
        note=row.note,
        closed_at=row.closed_at,
        retry_at=row.retry_at,
    )


def _finding(row: Row[tuple[object, ...]]) -> Finding:
    return Finding(
        subject=Subject(row.component, row.replica),
        symptom=Symptom(row.symptom),
        sense=Sense(row.sense),
        opened_at=row.opened_at,
        last_seen_at=row.last_seen_at,
        sentence=row.sentence,
        samples=row.samples,
        observed=row.observed,
        expected=row.expected,
        unit=row.unit,
        since=row.since,
        closed_at=row.closed_at,
    )
