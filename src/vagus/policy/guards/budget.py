"""Guard: how many replicas may be treated in a time."""

from __future__ import annotations

from vagus.model import GuardRuling, Request
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_treatment

_ROUNDING = 1e-9


def budget(request: Request, facts: Facts) -> GuardRuling:
    """At most a share of a component's replicas, and at least one, is treated within a period.

    Prevents a wave: a wrong diagnosis that fits every replica restarts one and not all. It is paced
    rather than a breaker that trips, because a tripped breaker fails both ways (Karpenter): it
    freezes the one real repair among false alarms, and when it opens again everything that waited
    goes at once. Here places come free one by one, each a period after its treatment.

    Counted are *replicas*, within the period that ends now: treating the same one again takes no
    further place (the cooldown is there for that). Moves of traffic are not counted: the capacity
    floor bounds them.
    """
    if not is_treatment(request):
        return allow("budget", "it touches no process")
    period = facts.policy.budget.period
    places = max(1, int(facts.policy.budget.count * len(facts.replicas) + _ROUNDING))
    last: dict[str, float] = {}
    for treatment in facts.treatments:  # oldest first
        if facts.now - treatment.at < period:
            last[treatment.subject.replica] = treatment.at
    others = sorted(at for name, at in last.items() if name != request.remedy.target.replica)
    numbers = {"places": float(places), "taken": float(len(others)), "period": period}
    if len(others) < places:
        return allow("budget", f"{len(others)} of {places} places are taken by others", **numbers)
    free_at = others[len(others) - places] + period
    wait = min(max(free_at - facts.now, 0.0), period)
    names = ", ".join(sorted(name for name in last if name != request.remedy.target.replica))
    reason = f"{places} in {period:g} s may be treated, and {names} had it"
    return deny("budget", reason, retry_after=wait, **numbers)
