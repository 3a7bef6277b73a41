"""Policy: may this be done, and who said what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from vagus.model.incident import Cause
from vagus.model.plan import Remedy, Tier
from vagus.model.subject import no_numbers

VAGUS = "vagus"  # who proposes what nobody else did


class Decision(IntEnum):
    """Ordered by strictness: the strictest guard wins."""

    ALLOW = 0
    ASK = 1
    DENY = 2


@dataclass(frozen=True, slots=True)
class Ask:
    """Who must say yes: so many distinct people, of this group (``""``: any approver)."""

    approvers: int = 1
    group: str = ""

    def __str__(self) -> str:
        people = "person" if self.approvers == 1 else "people"
        return f"{self.approvers} {people}" + (f" of {self.group}" if self.group else "")


@dataclass(frozen=True, slots=True)
class GuardRuling:
    """What one guard said, with the numbers it looked at."""

    guard: str
    decision: Decision
    reason: str
    retry_after: float | None = None  # seconds; None: waiting does not help
    numbers: Mapping[str, float] = field(default_factory=no_numbers)
    ask: Ask | None = None  # with ASK: whom
    also_ask: tuple[Ask, ...] = ()  # with ASK: further groups, who must say yes too


@dataclass(frozen=True, slots=True)
class Ruling:
    """The gate's answer: every guard was asked and every answer is kept."""

    decision: Decision
    guards: tuple[GuardRuling, ...]
    tier: Tier | None = None  # as the gate computed it for this very request
    binding: str = ""
    """Of what was judged: plan, policy and the state of the world, as one hash. A person's yes is
    a yes to this and to nothing that came after."""

    @property
    def asks(self) -> tuple[Ask, ...]:
        """What all guards together want of people, each group once, the most that any asks."""
        most: dict[str, int] = {}
        for said in self.guards:
            if said.decision is Decision.ASK:
                for ask in (said.ask or Ask(), *said.also_ask):
                    most[ask.group] = max(ask.approvers, most.get(ask.group, 0))
        return tuple(Ask(count, group) for group, count in sorted(most.items()))

    @property
    def deciding(self) -> tuple[GuardRuling, ...]:
        """The guards that held the decision at its strictness (all of them, if it is allowed)."""
        return tuple(g for g in self.guards if g.decision == self.decision)

    @property
    def reason(self) -> str:
        if self.decision is Decision.ALLOW:
            return "every guard allows it"
        return "; ".join(f"{g.guard}: {g.reason}" for g in self.deciding)

    @property
    def retry_after(self) -> float | None:
        """Seconds after which asking again can give another answer; None: it can't."""
        waits = [g.retry_after for g in self.deciding]
        known = [w for w in waits if w is not None]
        return max(known) if waits and len(known) == len(waits) else None


class Purpose(StrEnum):
    """Why something is asked for. Recoveries (RETURN, UNDO) may pass where treatments may not: a
    kill switch that held traffic away from healed replicas would be a fault of its own."""

    CONTAIN = "contain"
    TREAT = "treat"
    RETURN = "return"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Request:
    """What the healing workflow asks the gate for. ``rung`` counts the remedies of one workflow in
    the order in which they are asked for, ``attempt`` how often this one was asked for."""

    purpose: Purpose
    incident: str
    epoch: int
    rung: int
    attempt: int
    remedy: Remedy
    cause: Cause
    tier: Tier
    proposer: str = VAGUS
    undoes: str = ""  # with UNDO: the token of what is taken back; "": a move of its own

    @property
    def token(self) -> str:
        """Names this effect and no other: ``incident:epoch:rung:attempt``."""
        return f"{self.incident}:{self.epoch}:{self.rung}:{self.attempt}"
