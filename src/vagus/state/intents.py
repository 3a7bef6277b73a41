"""Intents: actions as written down before they are done.

:meth:`Intents.decide` is where two must not both pass. Judging and writing happen in one write
transaction, which holds the only write lock from its first statement. What the judge reads through
the same database it reads inside of that transaction (one transaction a thread, see ``db.py``), so
it sees every intent that was written before and no other can be written until it has decided. If it
raises, nothing is written, and nothing may be done.

:meth:`Intents.begin` is where an action is told apart from its repetition: of all who try, in
whatever process and after whatever crash, one gets True.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select, update

from vagus.errors import Conflict, StateError
from vagus.model import Check, Decision, Intent, IntentState, Request, Ruling
from vagus.state import records, tables
from vagus.state.db import Database

_rows = tables.intents

UNFINISHED = (IntentState.WRITTEN, IntentState.ACTING)
_ENDS: dict[IntentState, tuple[IntentState, ...]] = {
    IntentState.APPLIED: UNFINISHED,
    IntentState.FAILED: UNFINISHED,
    IntentState.UNDONE: (*UNFINISHED, IntentState.APPLIED, IntentState.FAILED),
    IntentState.REFUSED: (IntentState.ASKED,),  # people said no, or nothing
}
"""How an intent may end, and from which states."""


class Intents:
    def __init__(self, database: Database) -> None:
        self._database = database

    def decide(
        self,
        request: Request,
        check: Check,
        judge: Callable[[], Ruling],
        *,
        shadow: bool,
    ) -> Intent:
        """Call ``judge`` and write the intent in one transaction that locks the scope. A token that
        is there already is returned as it stands: it was decided before.

        ``judge`` runs on this thread under the write lock: it must be quick, and must not wait for
        another thread.
        """
        with self._database.write() as connection:
            known = _find(connection, request.token)
            if known is not None:
                return known
            ruling = judge()
            intent = Intent(
                request=request,
                ruling=ruling,
                state=_state_by(ruling, shadow=shadow),
                check=check,
                created_at=self._database.clock.now(),
            )
            connection.execute(
                _rows.insert().values(
                    token=intent.token,
                    incident=request.incident,
                    component=request.remedy.target.component,
                    state=intent.state.value,
                    request=records.canonical(request),
                    ruling=records.canonical(ruling),
                    verification=records.canonical(check),
                    created_at=intent.created_at,
                    note="",
                )
            )
            return intent

    def get(self, token: str) -> Intent | None:
        with self._database.read() as connection:
            return _find(connection, token)

    def begin(self, token: str) -> bool:
        """WRITTEN -> ACTING. False: it had begun before (its outcome is unknown), do not repeat.

        Raises StateError for an intent that may never be acted upon.
        """
        with self._database.write() as connection:
            taken = connection.execute(
                update(_rows)
                .where(_rows.c.token == token, _rows.c.state == IntentState.WRITTEN.value)
                .values(state=IntentState.ACTING.value, acted_at=self._database.clock.now())
            )
            if taken.rowcount == 1:
                return True
            state = _require(connection, token).state
            if state in (IntentState.REFUSED, IntentState.ASKED, IntentState.SHADOW):
                raise StateError(f"is {state} and must not be acted upon", where=token)
            return False

    def finish(self, token: str, state: IntentState, note: str = "") -> Intent:
        """Write down how it ended: APPLIED, FAILED, UNDONE, or REFUSED by people. Saying the same
        twice is one.

        Raises :class:`~vagus.errors.Conflict` if it had ended otherwise.
        """
        if state not in _ENDS:
            raise ValueError(f"an intent does not end as {state}")
        with self._database.write() as connection:
            intent = _require(connection, token)
            if intent.state is state:
                return intent
            if intent.state not in _ENDS[state]:
                raise Conflict(f"is {intent.state} and can't become {state}", where=token)
            connection.execute(
                update(_rows)
                .where(_rows.c.token == token)
                .values(
                    state=state.value,
                    finished_at=self._database.clock.now(),
                    note=note or intent.note,
                )
            )
            return _require(connection, token)

    def unfinished(self, component: str) -> Sequence[Intent]:
        """Written or acting: they count as used capacity and budget."""
        unfinished = _rows.c.state.in_([state.value for state in UNFINISHED])
        return self._where(and_(_rows.c.component == component, unfinished))

    def since(self, at: float, component: str) -> Sequence[Intent]:
        """Everything written, or acted upon, after ``at``, oldest first."""
        lately = or_(_rows.c.created_at > at, _rows.c.acted_at > at)
        return self._where(and_(_rows.c.component == component, lately))

    def of_incident(self, incident_id: str) -> Sequence[Intent]:
        """Everything that was asked for in an incident, oldest first."""
        return self._where(_rows.c.incident == incident_id)

    def _where(self, condition: ColumnElement[bool]) -> Sequence[Intent]:
        wanted = select(_rows).where(condition).order_by(_rows.c.created_at, _rows.c.token)
        with self._database.read() as connection:
            return [_intent(row) for row in connection.execute(wanted)]


def _state_by(ruling: Ruling, *, shadow: bool) -> IntentState:
    if ruling.decision is Decision.DENY:
        return IntentState.REFUSED
    if shadow:
        return IntentState.SHADOW  # the ruling says whether people would have been asked
    return IntentState.ASKED if ruling.decision is Decision.ASK else IntentState.WRITTEN


def _find(connection: Connection, token: str) -> Intent | None:
    row = connection.execute(select(_rows).where(_rows.c.token == token)).one_or_none()
    return None if row is None else _intent(row)


def _require(connection: Connection, token: str) -> Intent:
    intent = _find(connection, token)
    if intent is None:
        raise StateError("there is no such intent", where=token)
    return intent


def _intent(row: Row[tuple[object, ...]]) -> Intent:
    return Intent(
        request=records.decode(Request, row.request),
        ruling=records.decode(Ruling, row.ruling),
        state=IntentState(row.state),
        check=records.decode(Check, row.verification),
        created_at=row.created_at,
        acted_at=row.acted_at,
        finished_at=row.finished_at,
        note=row.note,
    )
