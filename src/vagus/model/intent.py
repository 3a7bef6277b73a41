"""Remediation: an action, written down before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vagus.model.plan import Tier
from vagus.model.retrieval import Searches
from vagus.model.ruling import Request, Ruling
from vagus.model.subject import Subject


class IntentState(StrEnum):
    REFUSED = "refused"  # the gate said no
    ASKED = "asked"  # people must say yes first; with their yes it is asked for anew
    SHADOW = "shadow"  # allowed, but the mode touches nothing
    WRITTEN = "written"  # allowed and written down; not begun
    ACTING = "acting"  # handed to the world; after a crash: unknown, so verify and never repeat
    APPLIED = "applied"  # the world confirmed it
    FAILED = "failed"  # the world refused it
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Check:
    """What verification will look at, frozen before the action so that nobody moves the goal.

    The subject is healthy when, since ``acted_at``, at least ``min_probes`` probes in a row are
    good over at least ``hold`` seconds, none slower than ``max_time_to_first_token`` (None: no
    bound is known), and callers' attempts, if any reach it, fail no more than
    ``max_failed_share``.

    A collection is healthy when its searches find ``min_recall`` of what there is to be found, in
    each cluster of queries; ``before`` is what they were like when this was decided.
    """

    subject: Subject
    min_probes: int
    hold: float
    timeout: float
    max_time_to_first_token: float | None = None
    max_failed_share: float = 0.0
    min_recall: float = 0.0
    before: Searches | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """An action as written down before it is done, with the ruling that let it pass."""

    request: Request
    ruling: Ruling
    state: IntentState
    check: Check
    created_at: float
    acted_at: float | None = None
    finished_at: float | None = None
    note: str = ""

    @property
    def token(self) -> str:
        return self.request.token

    @property
    def tier(self) -> Tier:
        """As the gate computed it for this very request, from the floor that was asked with."""
        return self.request.tier if self.ruling.tier is None else self.ruling.tier
