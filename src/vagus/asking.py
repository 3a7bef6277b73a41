"""Asking people: from an intent that the gate turned into a question to what they made of it.

The row of the proposal is the truth, here too: it says whether people decided, until when they may,
and what they were shown. Nothing is kept in memory, and a message only wakes whoever waits. So it
makes no difference through which door an answer came, in which process, or whether this one was
alive at that moment.

A yes is not an order. It is one more fact for the gate, which is asked again from nothing and finds
the yes, or finds that the world is no longer the one that was shown; then there is a new question
and the old one is void. A no, and no answer, end the matter: the intent is refused, in their words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from vagus.clock import Clock
from vagus.model import Intent, IntentState, Proposal, ProposalState, Request, TrackRecord
from vagus.policy.sheet import sheet
from vagus.ports import Incidents, Intents, Proposals
from vagus.remediation.action import Action


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of a question so far."""

    state: ProposalState
    intent: Intent  # the one that was asked about
    left: float  # s until no answer means no


class Asking:
    def __init__(
        self,
        *,
        clock: Clock,
        proposals: Proposals,
        intents: Intents,
        incidents: Incidents,
        actions: Mapping[str, Action],
        record: Callable[[Request], TrackRecord],
        patience: float,
    ) -> None:
        """``patience``: seconds that a proposal waits for people."""
        self._clock = clock
        self._proposals = proposals
        self._intents = intents
        self._incidents = incidents
        self._actions = actions
        self._record = record
        self._patience = patience

    def propose(self, token: str) -> Proposal:
        """Put the question of this intent to people, once. Earlier questions about the same rung
        are void by it."""
        intent = self._intent(token)
        request, ruling = intent.request, intent.ruling
        for earlier in self._proposals.of_rung(request.incident, request.epoch, request.rung):
            if earlier.id != token:
                note = "the world moved: what was asked about is no longer so"
                self._proposals.close(earlier.id, ProposalState.VOID, note)
        now = self._clock.now()
        return self._proposals.open(
            Proposal(
                request=request if ruling.tier is None else replace(request, tier=ruling.tier),
                asks=ruling.asks,
                binding=ruling.binding,
                sheet=sheet(
                    request,
                    ruling,
                    intent.check,
                    self._incidents.findings(request.incident, open_only=True),
                    record=self._record(request),
                    undoable=self._actions[request.remedy.action].undoable,
                    patience=self._patience,
                ),
                created_at=now,
                expires_at=now + self._patience,
            )
        )

    def hear(self, token: str, *, moot: str) -> tuple[Proposal, Heard]:
        """Look what people made of it. ``moot``: why it needs no answer any more, or empty."""
        proposal = self._proposals.get(token)
        assert proposal is not None, f"no proposal {token}: it is opened before anybody waits"
        left = proposal.expires_at - self._clock.now()
        if proposal.state is ProposalState.OPEN and moot:
            proposal = self._proposals.close(token, ProposalState.VOID, moot)
        elif proposal.state is ProposalState.OPEN and left <= 0:
            proposal = self._proposals.close(token, ProposalState.EXPIRED, _unanswered(proposal))
        intent = self._intent(token)
        if proposal.state in (ProposalState.DENIED, ProposalState.EXPIRED):
            intent = self._intents.finish(token, IntentState.REFUSED, refusal(proposal))
        return proposal, Heard(proposal.state, intent, max(0.0, left))

    def _intent(self, token: str) -> Intent:
        intent = self._intents.get(token)
        assert intent is not None, f"no intent {token}: it is written before it is asked about"
        return intent


def refusal(proposal: Proposal) -> str:
    """Why it is not done, in the words of whoever refused it."""
    for answer in proposal.answers:
        if proposal.state is ProposalState.DENIED and not answer.yes:
            return f"{answer.by} said no" + (f": {answer.reason}" if answer.reason else "")
    return proposal.note


def _unanswered(proposal: Proposal) -> str:
    asked = " and ".join(str(ask) for ask in proposal.asks)
    said = len(proposal.answers)
    what = f"only {said} answered of {asked}" if said else f"nobody answered ({asked} asked)"
    minutes = (proposal.expires_at - proposal.created_at) / 60
    return f"{what} within {minutes:g} min, which means no"
