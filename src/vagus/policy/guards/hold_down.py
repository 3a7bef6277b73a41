"""Guard: how long evidence must have lasted for what can't be taken back."""

from __future__ import annotations

from vagus.model import GuardRuling, Request, Symptom
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_treatment, tends_data
from vagus.policy.tiers import STATEFUL

HOLD_DOWN_S = 60.0
"""Longer than a network takes to come back from a failover of its own, and than the partition of
43 s that cost GitHub a day; short beside the time that a person takes to answer."""


def hold_down(request: Request, facts: Facts) -> GuardRuling:
    """The process of a store that keeps data is touched only once its evidence has lasted.

    Prevents a passing disturbance from becoming a change that can't be taken back. GitHub, 2018:
    43 seconds of partition were enough to move a database's primary to the other coast, writes went
    to both, and putting them together took a day. What is slow to undo must be slow to begin, even
    if a person stands by to approve: who is asked within the first seconds is shown nothing but the
    disturbance.
    """
    if not is_treatment(request) or tends_data(request) or facts.kind not in STATEFUL:
        return allow("hold_down", "it ends no process that keeps data")
    target = request.remedy.target
    since = [
        finding.opened_at
        for finding in facts.findings
        if finding.subject == target
        and finding.closed_at is None
        and finding.symptom is not Symptom.SILENT
    ]
    lasted = facts.now - min(since, default=facts.now)
    numbers = {"lasted": lasted, "needed": HOLD_DOWN_S}
    if lasted >= HOLD_DOWN_S:
        return allow("hold_down", f"its evidence has lasted for {lasted:.0f} s", **numbers)
    reason = (
        f"{target.component} keeps data, and the evidence has lasted for {max(lasted, 0.0):.0f} s "
        f"of {HOLD_DOWN_S:.0f}"
    )
    wait = min(HOLD_DOWN_S - lasted, HOLD_DOWN_S)
    return deny("hold_down", reason, retry_after=wait, **numbers)
