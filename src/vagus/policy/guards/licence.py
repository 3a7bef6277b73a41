"""Guard: whether the remedy has earned to act alone."""

from __future__ import annotations

from vagus.model import PROOF_NEEDED, GuardRuling, Licence, Request, Tier
from vagus.policy.answers import allow, ask
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_recovery
from vagus.policy.tiers import APPROVERS, assess


def licence(request: Request, facts: Facts) -> GuardRuling:
    """What is of R2 acts alone only with a licence; without one, a person decides.

    Prevents trust that nothing has earned. That a remedy was written down does not mean that it
    works on this stack: experiments must have shown it, here, lately, and often enough, or somebody
    must vouch for it by name. It is the key and the tier the lock: R3 and above are people's
    whatever is proven, and R1 needs none unless the policy says so.

    A licence is earned by acting, so within an experiment, on the very replica that is broken on
    purpose, a remedy is on trial and needs none: a person started it, and watches.
    """
    if is_recovery(request):
        return allow("licence", "a recovery needs none")
    return at_tier(assess(request, facts).tier, request, facts)


def at_tier(tier: Tier, request: Request, facts: Facts) -> GuardRuling:
    """What is needed if ``request`` is of ``tier``: a rule may have raised it."""
    if tier < Tier[facts.policy.licence_from]:
        return allow("licence", f"{tier.name} needs none", tier=float(tier))
    if tier in APPROVERS or tier not in PROOF_NEEDED:
        return allow("licence", f"{tier.name} is decided otherwise", tier=float(tier))
    if facts.experiment:
        return allow("licence", f"on trial, in experiment {facts.experiment}", tier=float(tier))
    needed, remedy = PROOF_NEEDED[tier], request.remedy
    best = max(facts.licences, key=lambda held: (held.manual, held.bound), default=None)
    numbers = {
        "tier": float(tier),
        "needed": needed,
        "licences": float(len(facts.licences)),
        "bound": best.bound if best is not None else 0.0,
    }
    if best is not None and (best.manual or best.bound >= needed):
        return allow("licence", _held(best), left=best.expires_at - facts.now, **numbers)
    what = f"{remedy.action} for {request.cause.fault} on {remedy.target.component}"
    has = f"has proven {best.bound:.0%} of {needed:.0%}" if best else "has no licence"
    return ask("licence", f"{what} is {tier.name} and {has}: a person decides", **numbers)


def _held(held: Licence) -> str:
    if held.manual:
        return f"{held.id}, granted by {held.issued_by}: {held.reason}"
    return f"{held.id}: it heals at least {held.bound:.0%} of the time, by {held.samples} trials"
