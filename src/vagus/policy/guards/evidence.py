"""Guard: whether enough was seen, by enough senses, and just now."""

from __future__ import annotations

from vagus.model import Finding, GuardRuling, Request, Sense, Symptom
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import MOVES_TRAFFIC, is_recovery, tends_data

FRESH_S = 30.0
"""A finding that was not confirmed for longer is history. Suspect replicas are probed every half
second, so this is many times what a live sense needs."""

NEEDED_TO_MOVE_TRAFFIC = 1  # it is undone within a second
NEEDED_TO_TOUCH_A_PROCESS = 2  # what it was doing is lost
NEEDED_TO_TEND_DATA = 1  # it compares two answers of the store, and nothing is lost

STEADY_S = 4.0
"""How long a probe must go on seeing it: eight probes, and what was queued is over."""

RETRY_S = 3.0  # the second sense may be about to see it


def evidence(request: Request, facts: Facts) -> GuardRuling:
    """One sense is enough for a move of traffic, two that are independent for a process.

    Prevents one broken sensor, or an old reading, from ending healthy processes. AWS, October 2025:
    health checks of load balancers hit hosts that were not ready yet, and took capacity away that
    was about to be there.

    Silence is no evidence of anything. Two things follow from where senses can look. A replica out
    of traffic is out of the gateway's sight: what the gateway saw before goes on counting, since
    only hurting callers could refresh it. And a probe may be the only witness that is left, because
    it was quicker than any caller; then time is the second one: what a probe goes on seeing when no
    traffic is left to explain it is enough, and nonsense, which nobody else can read, at once.
    """
    if is_recovery(request):
        return allow("evidence", "a recovery needs none")
    about = [
        finding
        for finding in facts.findings
        if finding.subject == request.remedy.target and finding.symptom is not Symptom.SILENT
    ]
    fresh = [finding for finding in about if _is_fresh(finding, facts.now)]
    out_of_sight = facts.shares.get(request.remedy.target, 1.0) == 0
    senses = {finding.sense for finding in fresh}
    if fresh and out_of_sight:
        senses |= {finding.sense for finding in about if finding.sense is Sense.GATEWAY}
    moves = request.remedy.action in MOVES_TRAFFIC
    needed = NEEDED_TO_MOVE_TRAFFIC if moves else NEEDED_TO_TOUCH_A_PROCESS
    if tends_data(request):
        needed = NEEDED_TO_TEND_DATA
    if out_of_sight and any(_needs_no_other(finding) for finding in fresh):
        needed = min(needed, 1)
    named = ", ".join(sorted(senses)) or "nobody"
    numbers = {"senses": float(len(senses)), "needed": float(needed)}
    if len(senses) >= needed:
        return allow("evidence", f"seen by {named}", **numbers)
    reason = f"seen by {named}, and {needed} independent senses are needed"
    return deny("evidence", reason, retry_after=RETRY_S, **numbers)


def _needs_no_other(finding: Finding) -> bool:
    """Of a replica that serves nobody: whether a probe's word alone is enough."""
    if finding.symptom is Symptom.NONSENSE:
        return True
    went_on = finding.last_seen_at - finding.opened_at
    return finding.sense is Sense.PROBE and went_on >= STEADY_S


def _is_fresh(finding: Finding, now: float) -> bool:
    return finding.closed_at is None and now - finding.last_seen_at <= FRESH_S
