"""Guard: how soon the same replica may be treated again."""

from __future__ import annotations

from vagus.model import GuardRuling, Request
from vagus.policy.answers import allow, deny
from vagus.policy.facts import FLAP_WINDOW, Facts
from vagus.policy.remedies import is_treatment


def cooldown(request: Request, facts: Facts) -> GuardRuling:
    """After a treatment its replica is left alone for a while, twice as long after each further one
    within an hour.

    Prevents a loop of restarts, in which a process never gets to where it could be judged, and in
    which healing hides the fault that a person should see. Envoy lengthens its ejections in the
    same way.
    """
    if not is_treatment(request):
        return allow("cooldown", "it touches no process")
    target = request.remedy.target
    past = [
        treatment.at
        for treatment in facts.treatments
        if treatment.subject == target and facts.now - treatment.at < FLAP_WINDOW
    ]
    if not past:
        return allow("cooldown", f"{target} was not treated within the last hour", treatments=0.0)
    pause = min(facts.policy.cooldown * 2.0 ** (len(past) - 1), FLAP_WINDOW)
    wait = min(past[-1] + pause - facts.now, pause)
    numbers = {"treatments": float(len(past)), "pause": pause, "since": facts.now - past[-1]}
    times = f"{target} was treated {len(past)} times within an hour"
    if wait <= 0:
        return allow("cooldown", f"{times}, {numbers['since']:.0f} s ago", **numbers)
    return deny("cooldown", f"{times}; it rests for {pause:g} s", retry_after=wait, **numbers)
