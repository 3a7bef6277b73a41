"""Proposals: what waits for people, and what they said.

The row is the truth. Whoever waits for it, in whatever process, looks here; messages only wake. So
the two things that could go wrong are decided here, in one write transaction each. An answer is
taken only while its proposal waits: not after its deadline by *this* clock, whatever time the
answer claims; not twice from one person; and not when somebody else has already brought the
decision about. And a proposal is closed by time only if people were not faster.

What an answer amounts to is not known here: that is policy, handed in as ``tally``. If it raises,
nothing was answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, Row, select, update

from vagus.errors import Conflict, NotFound
from vagus.model import Answer, Ask, Proposal, ProposalState, Request, Sheet
from vagus.state import records, tables
from vagus.state.db import Database

_rows = tables.proposals
_answers = tables.answers

_CLOSED_BY: dict[ProposalState, tuple[ProposalState, ...]] = {
    ProposalState.EXPIRED: (ProposalState.OPEN,),
    # A yes too is void if the world moved before it was acted upon.
    ProposalState.VOID: (ProposalState.OPEN, ProposalState.APPROVED),
}
"""How a proposal may be closed without an answer, and from which states."""


class Proposals:
    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, proposal: Proposal) -> Proposal:
        """Write it down; one of this id that is there already is returned as it stands."""
        if proposal.state is not ProposalState.OPEN or proposal.answers:
            raise ValueError("a proposal begins open and without answers")
        request = proposal.request
        with self._database.write() as connection:
            known = _find(connection, proposal.id)
            if known is not None:
                return known
            connection.execute(
                _rows.insert().values(
                    id=proposal.id,
                    incident=request.incident,
                    epoch=request.epoch,
                    rung=request.rung,
                    state=proposal.state.value,
                    request=records.canonical(request),
                    asks=records.canonical(proposal.asks),
                    binding=proposal.binding,
                    sheet=records.canonical(proposal.sheet),
                    created_at=proposal.created_at,
                    expires_at=proposal.expires_at,
                    note=proposal.note,
                )
            )
            return proposal

    def get(self, proposal_id: str) -> Proposal | None:
        with self._database.read() as connection:
            return _find(connection, proposal_id)

    def answer(
        self,
        proposal_id: str,
        answer: Answer,
        tally: Callable[[Proposal], ProposalState],
    ) -> Proposal:
        """Add ``answer`` and let ``tally`` say what the proposal, with it, has become; one
        transaction. Saying the same again is one answer. When it was given is when it came here.

        Raises :class:`~vagus.errors.Conflict` if it no longer waits, or this person said otherwise;
        NotFound if there is no such proposal.
        """
        if not answer.by:
            raise ValueError("an answer needs somebody who gave it")
        with self._database.write() as connection:
            proposal, now = _require(connection, proposal_id), self._database.clock.now()
            for given in proposal.answers:
                if given.by == answer.by and given.yes == answer.yes:
                    return proposal
            _must_wait(proposal, answer, now)
            taken = replace(answer, at=now)
            answered = replace(proposal, answers=(*proposal.answers, taken))
            state = tally(answered)
            connection.execute(
                _answers.insert().values(
                    proposal=proposal_id,
                    by=taken.by,
                    yes=int(taken.yes),
                    at=taken.at,
                    reason=taken.reason,
                )
            )
            if state is ProposalState.OPEN:
                return answered
            if state not in (ProposalState.APPROVED, ProposalState.DENIED):
                raise ValueError(f"people can't make a proposal {state}")
            return _set(connection, answered, state, now, "")

    def close(self, proposal_id: str, state: ProposalState, note: str = "") -> Proposal:
        """EXPIRED or VOID, unless people were faster: the proposal as it is now."""
        if state not in _CLOSED_BY:
            raise ValueError(f"only people can make a proposal {state}")
        with self._database.write() as connection:
            proposal = _require(connection, proposal_id)
            if proposal.state not in _CLOSED_BY[state]:
                return proposal
            return _set(connection, proposal, state, self._database.clock.now(), note)

    def waiting(self) -> Sequence[Proposal]:
        """Those that are OPEN, oldest first."""
        return self._where(_rows.c.state == ProposalState.OPEN.value)

    def decided(self, after: float) -> Sequence[str]:
        """The ids of those that were decided, by whomever, at ``after`` or later."""
        wanted = select(_rows.c.id).where(_rows.c.decided_at >= after)
        with self._database.read() as connection:
            return [str(row.id) for row in connection.execute(wanted)]

    def recent(self, limit: int, *, before: float | None = None) -> Sequence[Proposal]:
        """The newest ones, of those that were made before ``before``, newest first."""
        wanted = select(_rows).order_by(_rows.c.created_at.desc(), _rows.c.id.desc()).limit(limit)
        if before is not None:
            wanted = wanted.where(_rows.c.created_at < before)
        with self._database.read() as connection:
            return _proposals(connection, list(connection.execute(wanted)))

    def of_rung(self, incident: str, epoch: int, rung: int) -> Sequence[Proposal]:
        """Every proposal for this rung, whatever became of it, oldest first."""
        columns = _rows.c
        return self._where(
            (columns.incident == incident) & (columns.epoch == epoch) & (columns.rung == rung)
        )

    def _where(self, condition: ColumnElement[bool]) -> Sequence[Proposal]:
        wanted = select(_rows).where(condition).order_by(_rows.c.created_at, _rows.c.id)
        with self._database.read() as connection:
            return _proposals(connection, list(connection.execute(wanted)))


def _must_wait(proposal: Proposal, answer: Answer, now: float) -> None:
    """Raises Conflict unless an answer of this person can still be taken."""
    if proposal.state is not ProposalState.OPEN:
        note = f": {proposal.note}" if proposal.note else ""
        raise Conflict(f"it is {proposal.state} and takes no more answers{note}", where=proposal.id)
    if now >= proposal.expires_at:
        raise Conflict("its time is over, which means no", where=proposal.id)
    if any(given.by == answer.by for given in proposal.answers):
        said = "no" if answer.yes else "yes"
        raise Conflict(f"{answer.by} said {said} before", where=proposal.id)


def _set(
    connection: Connection, proposal: Proposal, state: ProposalState, at: float, note: str
) -> Proposal:
    changed = replace(proposal, state=state, decided_at=at, note=note or proposal.note)
    connection.execute(
        update(_rows)
        .where(_rows.c.id == proposal.id)
        .values(state=state.value, decided_at=at, note=changed.note)
    )
    return changed


def _find(connection: Connection, proposal_id: str) -> Proposal | None:
    rows = connection.execute(select(_rows).where(_rows.c.id == proposal_id))
    found = _proposals(connection, list(rows))
    return found[0] if found else None


def _require(connection: Connection, proposal_id: str) -> Proposal:
    proposal = _find(connection, proposal_id)
    if proposal is None:
        raise NotFound("there is no such proposal", where=proposal_id)
    return proposal


def _proposals(
    connection: Connection, rows: Sequence[Row[tuple[object, ...]]]
) -> Sequence[Proposal]:
    """The proposals of ``rows`` with their answers, read by one query for all."""
    given: dict[str, list[Answer]] = {row.id: [] for row in rows}
    wanted = (
        select(_answers)
        .where(_answers.c.proposal.in_(list(given)))
        .order_by(_answers.c.at, _answers.c.by)
    )
    for row in connection.execute(wanted) if given else ():
        given[row.proposal].append(Answer(row.by, bool(row.yes), row.at, row.reason))
    return [
        Proposal(
            request=records.decode(Request, row.request),
            asks=records.decode(tuple[Ask, ...], row.asks),
            binding=row.binding,
            sheet=records.decode(Sheet, row.sheet),
            created_at=row.created_at,
            expires_at=row.expires_at,
            state=ProposalState(row.state),
            answers=tuple(given[row.id]),
            decided_at=row.decided_at,
            note=row.note,
        )
        for row in rows
    ]
