"""Whatever people say, in whatever order and at whatever time: a proposal is decided once, each
person is heard once, and without enough people who said yes in time nothing is approved."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.clock import ManualClock
from vagus.errors import Conflict
from vagus.model import Answer, Ask, Proposal, ProposalState, Sheet
from vagus.policy.approvals import tally
from vagus.state.db import open_database
from vagus.state.proposals import Proposals
from vagus.testing.cases import a_request

SHEET = Sheet("restart", (), "replica-hung", 0.9, "", "", "", "", "")
LASTS = 100.0

people = st.sampled_from(["anna", "bert", "carl", "vagus"])
moves = st.one_of(
    st.tuples(st.just("say"), people, st.booleans(), st.floats(-1e6, 1e6)),
    st.tuples(st.just("wait"), st.floats(0.0, 70.0)),
    st.tuples(st.just("close"), st.sampled_from([ProposalState.EXPIRED, ProposalState.VOID])),
)


@settings(max_examples=60)
@given(st.integers(1, 3), st.lists(moves, max_size=12))
def test_decided_once_and_by_enough_people(needed: int, history: list[tuple[object, ...]]) -> None:
    clock = ManualClock(start=1_000_000.0)
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'vagus.db'}", clock)
        try:
            check(Proposals(database), clock, needed, history)
        finally:
            database.close()


def check(
    proposals: Proposals, clock: ManualClock, needed: int, history: list[tuple[object, ...]]
) -> None:
    began = clock.now()
    proposal = proposals.open(
        Proposal(a_request(), (Ask(needed),), "binding", SHEET, began, began + LASTS)
    )
    seen = [proposal.state]
    for move in history:
        if move[0] == "wait":
            clock.advance(float(move[1]))  # type: ignore[arg-type]
            continue
        late = clock.now() >= proposal.expires_at
        before = seen[-1]
        try:
            if move[0] == "say":
                answer = Answer(str(move[1]), bool(move[2]), float(move[3]))  # type: ignore[arg-type]
                after = proposals.answer(proposal.id, answer, lambda p: tally(p, {}))
                assert not late or answer.by in {a.by for a in after.answers if a.at < clock.now()}
            else:
                after = proposals.close(proposal.id, ProposalState(move[1]))
        except Conflict:
            after = proposals.get(proposal.id)  # type: ignore[assignment]
            assert after.state is before
        seen.append(after.state)
        by = [a.by for a in after.answers]
        assert len(by) == len(set(by))
        if after.state is ProposalState.APPROVED:
            yes = {a.by for a in after.answers if a.yes and began <= a.at < began + LASTS}
            assert len(yes - {"vagus"}) >= needed
            assert all(a.yes for a in after.answers)
        if before is not ProposalState.OPEN and after.state is not before:
            assert (before, after.state) == (ProposalState.APPROVED, ProposalState.VOID)
