"""Guard: how much would be left to serve callers."""

from __future__ import annotations

from vagus.model import GuardRuling, Request, Subject
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_undo

RETRY_S = 5.0  # capacity may return
_ROUNDING = 1e-9


def capacity_floor(request: Request, facts: Facts) -> GuardRuling:
    """A component keeps its floor of capacity in traffic, whatever is wrong with the rest.

    Prevents healing from finishing what the fault began: when most replicas look sick, the cause is
    rarely in the replicas (Envoy calls it panic, Kubernetes stops evicting). Azure, leap day 2012:
    each failure was taken for the host's own, and healing carried the bug on to healthy hosts.

    Capacity is what can carry callers after this action and after everything that is already
    written down. The data plane's own ejections are gone from it, as are dead replicas, so taking
    those away costs nothing. Giving traffic back costs nothing either. A restart takes its target
    away for as long as it lasts.
    """
    left = {replica: facts.in_traffic(replica) for replica in facts.replicas}
    for intent in facts.unfinished:
        replica = intent.request.remedy.target
        if replica in left:
            left[replica] = min(left[replica], _share_after(intent.request, left[replica]))
    target = request.remedy.target
    before = left.get(target, 0.0)
    after = _share_after(request, before)
    whole = len(left)
    remaining = sum(left.values()) - before + after
    numbers = {
        "replicas": float(whole),
        "in_traffic": sum(left.values()),
        "after": remaining,
        "floor": facts.policy.floor * whole,
    }
    if after >= before - _ROUNDING:
        return allow("capacity_floor", "it takes no capacity away", **numbers)
    if remaining + _ROUNDING >= facts.policy.floor * whole:
        return allow("capacity_floor", f"{_of(remaining, whole)} stay in traffic", **numbers)
    reason = (
        f"{_of(remaining, whole)} would stay in traffic, "
        f"and the floor is {facts.policy.floor:.0%}: {_why(facts, target)}"
    )
    return deny("capacity_floor", reason, retry_after=RETRY_S, **numbers)


def _share_after(request: Request, before: float) -> float:
    """What its target carries once ``request`` is carried out."""
    if is_undo(request):
        return before
    match request.remedy.action:
        case "weight":
            return request.remedy.share
        case "restore":
            return 1.0
        case _:
            return 0.0


def _of(capacity: float, whole: int) -> str:
    return f"{capacity:g} of {whole} replicas"


def _why(facts: Facts, target: Subject) -> str:
    gone = sorted(r.replica for r in facts.replicas if facts.in_traffic(r) < 1 and r != target)
    return f"{', '.join(gone)} carry less already" if gone else "there is nobody to spare"
