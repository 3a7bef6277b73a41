"""Guard: who decides about a risk of this kind."""

from __future__ import annotations

from vagus.model import GuardRuling, Request, Tier
from vagus.policy.answers import allow, ask, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_recovery
from vagus.policy.tiers import APPROVERS, floor_of


def tier(request: Request, facts: Facts) -> GuardRuling:
    """Up to R2 Vagus decides, R3 and R4 are a person's or two persons', R5 nobody's.

    Prevents automation of what can't be taken back: one call once deleted a database together with
    its backups. A request can't talk itself down: its tier counts only as far as it is above the
    floor of its action, and an action without a floor is R5.
    """
    if is_recovery(request):
        return allow("tier", "a recovery is R1")
    kind = max(request.tier, floor_of(request.remedy.action))
    if kind is Tier.R5:
        return deny("tier", f"{request.remedy.action} is R5 and never automated", tier=5.0)
    if kind in APPROVERS:
        count = APPROVERS[kind]
        reason = f"{request.remedy.action} is {kind.name}: {count} must approve"
        return ask("tier", reason, tier=float(kind), approvers=count)
    return allow("tier", f"{request.remedy.action} is {kind.name}", tier=float(kind))
