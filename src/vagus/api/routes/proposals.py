"""Proposals: what waits for people, and their answers.

Who answers says the token and nothing else. An answer is written in one transaction with its entry
in the ledger; then the workflow is woken, which goes through the gate once more before it acts.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter

from vagus.api.access import Caller, Works, needs
from vagus.api.audit import changing
from vagus.api.pages import Cursor, Id, Limit
from vagus.api.problems import Problem
from vagus.api.served import Served
from vagus.api.views import AnswerBody, Page, ProposalView
from vagus.errors import Conflict, NotFound
from vagus.model import Answer, Proposal, ProposalState, Role
from vagus.ports import Proposals

router = APIRouter(prefix="/proposals", tags=["proposals"])

_WHY_NOT = {
    ProposalState.APPROVED: "it was approved already",
    ProposalState.DENIED: "it was denied already",
    ProposalState.EXPIRED: "it expired, and no answer in time means no",
    ProposalState.VOID: "it is void: what it asked about is no longer so",
}


@router.get("", **needs(Role.VIEWER))
def list_proposals(
    works: Works, limit: Limit = 50, cursor: Cursor = None, waiting: bool = False
) -> Page[ProposalView]:
    """Proposals, newest first; with `waiting`, all those that still wait for people."""
    if waiting:
        return Page(items=[ProposalView.of(p) for p in reversed(_kept(works).waiting())])
    found = _kept(works).recent(limit + 1, before=_time(cursor))
    shown = [ProposalView.of(proposal) for proposal in found[:limit]]
    return Page(items=shown, next=repr(shown[-1].created_at) if len(found) > limit else None)


@router.get("/{proposal_id}", **needs(Role.VIEWER, HTTPStatus.NOT_FOUND))
def show_proposal(works: Works, proposal_id: Id) -> ProposalView:
    """One proposal with the sheet to decide by."""
    return ProposalView.of(_find(works, proposal_id))


@router.post(
    "/{proposal_id}/answers",
    **needs(Role.APPROVER, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
def answer_proposal(
    works: Works, caller: Caller, proposal_id: Id, said: AnswerBody
) -> ProposalView:
    """Say yes or no, as the person whose token this is. Saying the same again changes nothing."""

    def work() -> Proposal:
        proposal = _find(works, proposal_id)
        now = works.clock.now()
        if any(a.by == caller.name and a.yes == said.yes for a in proposal.answers):
            return proposal
        _check(proposal, caller.name, now)
        _check_group(proposal, caller.name, works)
        answer = Answer(caller.name, said.yes, now, said.reason or "")
        return _kept(works).answer(proposal_id, answer, works.tally)

    word = "approve" if said.yes else "deny"
    decided = changing(works, caller, f"{word} {proposal_id}", work, said.reason or "")
    works.wake(proposal_id)
    return ProposalView.of(decided)


def _kept(works: Served) -> Proposals:
    if works.proposals is None:
        raise Problem(HTTPStatus.NOT_IMPLEMENTED, "nobody is asked here")
    return works.proposals


def _find(works: Served, proposal_id: str) -> Proposal:
    proposal = _kept(works).get(proposal_id)
    if proposal is None:
        raise NotFound("there is no such proposal", where=proposal_id, mend="vagus proposals")
    return proposal


def _check(proposal: Proposal, by: str, now: float) -> None:
    """Raises Conflict if ``by`` can't answer it now. That it still waits is asked again by the
    store, in the transaction that writes."""
    why = _WHY_NOT.get(proposal.state, "")
    if not why and now >= proposal.expires_at:
        why = _WHY_NOT[ProposalState.EXPIRED]
    if not why and by == proposal.proposer.strip().casefold():
        why = "whoever proposes does not decide"
    if not why and any(answer.by == by for answer in proposal.answers):
        why = "you answered otherwise before, and an answer stands"
    if why:
        note = f" ({proposal.note})" if proposal.note else ""
        raise Conflict(why + note, where=proposal.id)


def _check_group(proposal: Proposal, by: str, works: Served) -> None:
    """Raises Conflict if nobody asked ``by``: an answer that counts for nothing must not look as if
    it had been one."""
    asked = {ask.group for ask in proposal.asks}
    groups = works.settings.policy.approvers
    if "" not in asked and not any(by in groups.get(group, ()) for group in asked):
        names = " and ".join(sorted(asked))
        raise Conflict(f"this is asked of {names}, and you are not among them", where=proposal.id)


def _time(cursor: str | None) -> float | None:
    try:
        return None if cursor is None else float(cursor)
    except ValueError as error:
        detail = "this is not a cursor that a page of proposals gave"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from error
