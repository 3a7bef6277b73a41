"""Guard: the kill switch."""

from __future__ import annotations

from vagus.model import GuardRuling, Request
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_recovery


def kill_switch(request: Request, facts: Facts) -> GuardRuling:
    """Nothing new is begun while a person has said stop.

    Prevents an operator from having to fight the automation. Reddit, 2016: the autoscaler was
    switched off for a migration, another controller switched it on again, and it ended the servers
    that were being moved. Here no configuration, no reload and no other part of Vagus can unset
    what a person has set; it is said who that was, and why.

    Recoveries pass: NVSentinel's breaker, once tripped, also held back repaired nodes, and so kept
    capacity away that everybody needed.
    """
    if facts.stopped is None:
        return allow("kill_switch", "not set")
    if is_recovery(request):
        return allow("kill_switch", f"set ({facts.stopped}), but recoveries may finish")
    return deny("kill_switch", str(facts.stopped))
