"""Guard: whether the treatment makes what it treats."""

from __future__ import annotations

from vagus.model import GuardRuling, IntentState, Request
from vagus.policy.answers import allow, deny
from vagus.policy.facts import FLAP_WINDOW, Facts
from vagus.policy.remedies import is_treatment


def recreates_fault(request: Request, facts: Facts) -> GuardRuling:
    """A treatment that was tried and after which the fault is there again is not tried again.

    Prevents healing from spreading what it treats. Azure, leap day 2012: a certificate that could
    not be made took each host for broken, healing moved its machines to healthy hosts, and broke
    those. When a replacement shows the fault that it was made for, the cause is in what all of them
    share, and no replica of the component is treated for that fault any more. Neither is the same
    remedy repeated on a replica within the same incident: it helped nobody the first time.

    Waiting does not help, and a person must look; so there is no time after which to try again. A
    fault that comes back in a *new* incident was healed in between: that is flapping, and the
    cooldown's business.
    """
    if not is_treatment(request):
        return allow("recreates_fault", "it touches no process")
    fault, target = request.cause.fault, request.remedy.target
    if fault in facts.recreated:
        shown = [str(r) for r, why in sorted(facts.replacements.items()) if why.fault == fault]
        reason = (
            f"{', '.join(shown)} took the place of another one because of {fault} and shows it "
            f"too: it is in what they share"
        )
        return deny("recreates_fault", reason, replacements=float(len(shown)))
    tried = [
        intent
        for intent in facts.recent
        if intent.state is IntentState.APPLIED
        and is_treatment(intent.request)
        and intent.request.incident == request.incident
        and intent.request.remedy == request.remedy
        and intent.request.cause.fault == fault
        and facts.now - intent.created_at < FLAP_WINDOW
    ]
    numbers = {"tried": float(len(tried))}
    if tried:
        reason = f"{request.remedy.action} of {target} was done for {fault}, and it is still there"
        return deny("recreates_fault", reason, **numbers)
    return allow("recreates_fault", f"{fault} did not come back after it", **numbers)
