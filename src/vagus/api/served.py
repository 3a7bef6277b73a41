"""What the API works with. ``app.py`` puts it together; a test puts together what it needs.

The stores are those of the loop and of the workflows, not copies: a person who denies a proposal
and the workflow that waits for it look at the same row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from vagus.clock import Clock
from vagus.config import Settings
from vagus.metrics import Reading
from vagus.model import Injection, Proposal, ProposalState, Rollout, Ruling
from vagus.ports import (
    Controls,
    Incidents,
    Injections,
    Intents,
    Licences,
    Proposals,
    Rollouts,
)
from vagus.snapshot import Snapshot
from vagus.state.ledger import Ledger
from vagus.state.tokens import Tokens
from vagus.verification.rollout import RolloutVerdict


@dataclass(frozen=True)
class Served:
    clock: Clock
    settings: Settings
    ledger: Ledger
    tokens: Tokens
    incidents: Incidents
    intents: Intents
    proposals: Proposals
    licences: Licences
    controls: Controls
    rollouts: Rollouts
    injections: Injections
    judge_injection: Callable[[Injection], Ruling]
    prove: Callable[[Injection], None]  # what an experiment's verdict does to licences
    judge_rollout: Callable[[Rollout], RolloutVerdict]
    transaction: Callable[[], AbstractContextManager[object]]
    """Everything that is written inside of it, on one thread, is written together or not at all."""
    remedies: frozenset[str]  # the actions that a licence can be for ...
    faults: frozenset[str]  # ... and the faults
    tally: Callable[[Proposal], ProposalState]  # what a proposal has become by its answers
    wake: Callable[[str], None]  # the workflow that waits for this proposal
    snapshot: Callable[[], Snapshot]
    readings: Callable[[], Sequence[Reading]]  # Vagus's own numbers, now
    refused: Counter[int] = field(default_factory=Counter)  # requests, by status
