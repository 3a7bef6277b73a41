"""Proposals: what waits for people, and their answers.

Who answers says the token and nothing else. An answer is written in one transaction with its entry
in the ledger; then the workflow is woken, which goes through the gate once more before it acts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Query

from vagus.api.access import Caller, Works, needs
from vagus.api.audit import changing
from vagus.api.pages import Cursor, Id, Limit
from vagus.api.problems import Problem
from vagus.api.served import Served
from vagus.api.views.basics import Page
from vagus.api.views.proposals import AnswerBody, ProposalView
from vagus.errors import Conflict, NotFound
from vagus.model import Answer, Proposal, Role

log = structlog.get_logger()

router = APIRouter(prefix="/proposals", tags=["proposals"])

Waiting = Annotated[bool, Query(description="only, and all of, those that wait for people")]


@router.get("", **needs(Role.VIEWER))
def list_proposals(
    works: Works, limit: Limit = 50, cursor: Cursor = None, waiting: Waiting = False
) -> Page[ProposalView]:
    """Proposals, newest first; with `waiting`, all those that still wait for people."""
    if waiting:
        return Page(items=[ProposalView.of(p) for p in reversed(works.proposals.waiting())])
    before = _time(cursor)
    while True:
        found = works.proposals.recent(limit + 1, before=before)
        if len(found) <= limit or found[limit].created_at < found[limit - 1].created_at:
            break
        limit *= 2  # those of one instant can't be told apart by a time: they share a page
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
        _check_asked(_find(works, proposal_id), caller.name, works.settings.policy.approvers)
        answer = Answer(caller.name, said.yes, works.clock.now(), said.reason or "")
        return works.proposals.answer(proposal_id, answer, works.tally)

    word = "approve" if said.yes else "deny"
    decided = changing(works, caller, f"{word} {proposal_id}", work, said.reason or "")
    try:
        works.wake(proposal_id)
    except Exception:
        log.warning("api.not_woken", proposal=proposal_id, exc_info=True)
    return ProposalView.of(decided)


def _find(works: Served, proposal_id: str) -> Proposal:
    proposal = works.proposals.get(proposal_id)
    if proposal is None:
        raise NotFound("there is no such proposal", where=proposal_id, mend="vagus proposals")
    return proposal


def _check_asked(proposal: Proposal, by: str, groups: Mapping[str, Sequence[str]]) -> None:
    """Raises Conflict if ``by`` is not who is asked: an answer that counts for nothing must not
    look as if it had been one. Whether the proposal waits for any answer says the store."""
    if by == proposal.proposer.strip().casefold():
        raise Conflict("whoever proposes does not decide", where=proposal.id)
    asked = {ask.group for ask in proposal.asks}
    if "" not in asked and not any(by in groups.get(group, ()) for group in asked):
        names = " and ".join(sorted(asked))
        raise Conflict(f"this is asked of {names}, and you are not among them", where=proposal.id)


def _time(cursor: str | None) -> float | None:
    try:
        return None if cursor is None else float(cursor)
    except ValueError as error:
        detail = "this is not a cursor that a page of proposals gave"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from error
