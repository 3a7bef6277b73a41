"""Guard: who decides about a risk of this kind."""

from __future__ import annotations

from vagus.model import GuardRuling, Request, Tier
from vagus.policy.answers import allow, ask, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_recovery
from vagus.policy.tiers import APPROVERS, assess


def tier(request: Request, facts: Facts) -> GuardRuling:
    """Up to R2 Vagus decides, R3 and R4 are a person's or two persons', R5 nobody's.

    Prevents automation of what can't be taken back: one call once deleted a database together with
    its backups. The tier is computed for each request, from the floor of its action upwards: a
    request can't talk itself down, and an action without a floor is R5.
    """
    if is_recovery(request):
        return allow("tier", "a recovery is R1")
    kind, action = assess(request, facts), request.remedy.action
    numbers = {
        "tier": float(kind.tier),
        "floor": float(kind.floor),
        "blast_radius": kind.blast_radius,
        "callers": float(len(facts.callers)),
        "confidence": request.cause.confidence,
    }
    if kind.tier is Tier.R5:
        return deny("tier", f"{action} is {kind}: never automated", **numbers)
    if kind.tier in APPROVERS:
        count = APPROVERS[kind.tier]
        return ask("tier", f"{action} is {kind}; {count} must approve", count, **numbers)
    return allow("tier", f"{action} is {kind}", **numbers)
