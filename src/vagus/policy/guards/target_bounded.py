"""Guard: what exactly is to be touched."""

from __future__ import annotations

from vagus.model import GuardRuling, Request
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_undo, tends_data


def target_bounded(request: Request, facts: Facts) -> GuardRuling:
    """Exactly one replica, or collection of a store, that is known; never "all" for want of a name.

    Prevents an empty selection from meaning everything. Google, Diskerase: an empty set of disks
    was read as every disk of the site. Cloudflare, 20 February 2026: a flag without a value
    withdrew 1,100 prefixes. For the same reason a share must be given where one is meant: absent
    is not zero.

    An undo may be of a replica that is no member any more.
    """
    target, remedy = request.remedy.target, request.remedy
    if not target.component:
        return deny("target_bounded", "it names no component, and that must never mean all of them")
    if not target.replica:
        reason = f"it names no replica of {target.component}, and that must never mean all of them"
        return deny("target_bounded", reason, replicas=len(facts.replicas))
    if tends_data(request):
        if target not in facts.collections:
            return deny("target_bounded", f"{target} is no collection that is watched")
        return allow("target_bounded", "one collection", replicas=len(facts.replicas))
    if target not in facts.replicas and not is_undo(request):
        known = ", ".join(sorted(replica.replica for replica in facts.replicas)) or "none"
        return deny("target_bounded", f"{target} is not known (there are: {known})")
    if remedy.action == "weight" and not 0 < remedy.share <= 1:
        reason = f"{remedy.share:g} is no share to give: it lies above 0 and up to 1"
        return deny("target_bounded", reason, share=remedy.share)
    return allow("target_bounded", "one replica", replicas=len(facts.replicas))
