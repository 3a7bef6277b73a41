"""Risk tiers: what kind of decision a request is, and why.

An action has a floor, its tier at its most harmless. R1 is for what is reversible or restores
itself, is stateless and touches one replica. A replacement leaves another stack behind than there
was, so it is R2 and somebody is told; another model version changes what callers are answered, so
it is R3. Work on what a store keeps, while it serves, is R2: it takes load, and it is told. An
action without a floor is never automated: a new one must be given one here first.

Circumstances raise a request above its floor and never lower it: what it would take from callers,
what its target keeps, how sure the diagnosis is, how the remedy fared before, who depends on the
stack. They raise it to people at most, to R4: that a thing is never done at all is a property of
the thing. Moves of traffic are taken back within a second, and the capacity floor bounds them, so
they stay where they are. Each raise says why, in words for whoever is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from vagus.config import Kind
from vagus.model import INJECT, Request, Tier
from vagus.policy.remedies import is_recovery, is_treatment, tends_data

if TYPE_CHECKING:
    from vagus.policy.facts import Facts

FLOORS: Mapping[str, Tier] = MappingProxyType(
    {
        "eject": Tier.R1,
        "drain": Tier.R1,
        "weight": Tier.R1,
        "restore": Tier.R1,
        "restart": Tier.R1,
        "replace": Tier.R2,
        "rollback": Tier.R3,
        "rebuild-index": Tier.R2,
        "vacuum": Tier.R2,
    }
)
"""The tier of an action at its most harmless; circumstances only raise it."""

APPROVERS: Mapping[Tier, int] = MappingProxyType({Tier.R3: 1, Tier.R4: 2})
"""How many people must say yes."""

HIGHEST_BY_CIRCUMSTANCE = Tier.R4

STATEFUL = frozenset({Kind.VECTOR_STORE, Kind.CACHE})
"""Kinds whose processes hold what would be lost, or cold, after a restart: R3."""

LASTING = frozenset({"replace"})
"""Actions after which the old process and what it kept are gone for good: R4 on a stateful kind."""

LARGE_SHARE = 0.5
"""Of what carries callers now. One of two may be restarted as any other; with more than half of
what is left, a mistake is an outage: R2, and R3 if nobody would be left at all."""

MANY_CALLERS = 3
"""Components that need this one, from which on a mistake isn't a matter of one team: R2."""

LOW_CONFIDENCE = 0.5
"""A cause that is as likely wrong as right makes its remedy a guess: one tier more."""

POOR_RECORD = 0.5
"""A remedy that surely heals less than half of the time here (its record refutes more, with 95 %
confidence) is a guess too: one tier more. Five failures without a success are enough."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Assessment:
    """The tier of a request, and why it is not the floor of its action."""

    tier: Tier
    floor: Tier
    reasons: tuple[str, ...] = ()
    blast_radius: float = 0.0  # share of what carries callers now that is taken from them

    def __str__(self) -> str:
        """``R3, raised from R1: vectors keeps data``."""
        if not self.reasons:
            return self.tier.name
        return f"{self.tier.name}, raised from {self.floor.name}: {'; '.join(self.reasons)}"


def floor_of(action: str) -> Tier:
    """R5 for what nobody listed. A fault that is put in on purpose is one replica's, and its undo
    is on disk before it: R1 at its most harmless."""
    return Tier.R1 if action == INJECT else FLOORS.get(action, Tier.R5)


def assess(request: Request, facts: Facts) -> Assessment:
    """The tier of ``request``, which is never below what it was asked for as."""
    if is_recovery(request):
        return Assessment(Tier.R1, Tier.R1)
    share = blast_radius(request, facts)
    tier = floor = floor_of(request.remedy.action)
    reasons: list[str] = []
    if request.tier > tier:
        tier = request.tier
        reasons.append(f"{request.proposer} asked for it as {tier.name}")
    if is_treatment(request) and floor is not Tier.R5:
        for least, reason in _at_least(request, facts, share):
            if least > tier:
                tier = least
                reasons.append(reason)
        for reason in _one_more(request, facts):
            if tier < HIGHEST_BY_CIRCUMSTANCE:
                tier = Tier(tier + 1)
                reasons.append(reason)
    return Assessment(tier, floor, tuple(reasons), share)


def blast_radius(request: Request, facts: Facts) -> float:
    """The share of what carries callers now that ``request`` would take from them."""
    target = request.remedy.target
    if target.replica and tends_data(request):
        return 0.0  # its store goes on serving
    if not target.replica or not facts.replicas:
        return 1.0  # the component as a whole, or nobody knows
    kept = request.remedy.share if request.remedy.action == "weight" else 0.0
    taken = 0.0 if is_recovery(request) else facts.in_traffic(target) - kept
    if taken <= 0:
        return 0.0
    return taken / sum(facts.in_traffic(replica) for replica in facts.replicas)


def _at_least(request: Request, facts: Facts, share: float) -> Iterator[tuple[Tier, str]]:
    """Tiers that the blast radius and the target ask for, whatever else is so."""
    component, action = request.remedy.target.component, request.remedy.action
    if share >= 1.0 - _ROUNDING:
        yield Tier.R3, f"it takes all of {component} that carries callers"
    elif share > LARGE_SHARE + _ROUNDING:
        yield Tier.R2, f"it takes {share:.0%} of {component} that carries callers"
    if share > 0 and len(facts.callers) >= MANY_CALLERS:
        yield Tier.R2, f"{len(facts.callers)} components need {component}"
    if facts.kind in STATEFUL and not tends_data(request):
        if action in LASTING:
            yield Tier.R4, f"{component} keeps data, and what this one keeps would be gone"
        yield Tier.R3, f"{component} keeps data"


def _one_more(request: Request, facts: Facts) -> Iterator[str]:
    """What makes any request a tier riskier."""
    if facts.policy.production:
        yield "people depend on this stack (production)"
    if request.cause.confidence < LOW_CONFIDENCE:
        yield f"the cause is only {request.cause.confidence:.0%} sure"
    record = facts.record
    if record is not None and record.samples and record.at_most < POOR_RECORD:
        yield f"it healed {record.healed} of {record.samples} times here"
