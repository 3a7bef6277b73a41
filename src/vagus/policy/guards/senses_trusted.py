"""Guard: whether we may believe what we see."""

from __future__ import annotations

from vagus.model import GuardRuling, Request
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_undo

RETRY_S = 5.0  # senses come back by themselves, if they do


def senses_trusted(request: Request, facts: Facts) -> GuardRuling:
    """Fail static: who can't trust their own senses holds still.

    Prevents Vagus's own blindness from being healed as if it were the stack's illness: when
    everything vanishes at once, it is more likely the network between, the clock, or ourselves.
    GitHub, 2018: 43 seconds of partition were taken for the loss of a site, and the failover cost
    a day.

    This holds for the return of traffic too, since that a replica is well again was seen by the
    same senses. An undo passes: it goes back to what a person had declared.
    """
    senses = facts.senses
    numbers = {"silent": float(senses.silent), "watched": float(senses.watched)}
    if senses.trusted:
        return allow("senses_trusted", "they agree and are heard", **numbers)
    if is_undo(request):
        return allow(
            "senses_trusted", f"not now ({senses.reason}), but an undo may pass", **numbers
        )
    reason = f"holding still: {senses.reason}"
    return deny("senses_trusted", reason, retry_after=RETRY_S, **numbers)
