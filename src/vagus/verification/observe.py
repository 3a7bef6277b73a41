"""One look at what was seen since an action, and the verdict it allows.

The check was frozen in the intent before the action, so that nobody moves the goal afterwards. The
look is pure and short; the healing workflow repeats it between durable sleeps until it is no longer
inconclusive. Absence of evidence is never health: with too few samples the verdict stays open, and
data that was lost to a restart of Vagus only lengthens the hold.

What detection still finds outweighs good probes: it is the evidence that raised the alarm, and it
knows better than a fixed bound what is slow on a machine that is busy just now.

*Unchanged* is said by the deadline alone: a process that was just restarted refuses connections
for a while, and that is no verdict on the treatment. Where nothing was done, nothing is starting,
and what is found counts at once. *Worse* is said at once, but only of callers: what they suffer
can't be explained by a slow start.
"""

from __future__ import annotations

from collections.abc import Sequence

from vagus.model import Check, Observed, Outcome, Verdict
from vagus.verification.searches import judge_searches

MIN_CALLERS = 2  # one failed request of a caller is no verdict


def judge(
    check: Check,
    seen: Observed,
    found: Sequence[str] = (),
    *,
    acted_at: float,
    now: float,
    patient: bool = True,
) -> Verdict:
    """The verdict on ``check`` given what was ``seen`` since ``acted_at``; ``found`` are the
    sentences of the findings on the subject that are open now. ``patient``: whether something was
    done that may need its time."""
    if check.before is not None or seen.searches is not None:
        return judge_searches(check, seen, found, acted_at=acted_at, now=now)
    numbers = {
        "probes_ok_in_a_row": float(seen.probes_ok_in_a_row),
        "probes_failed": float(seen.probes_failed),
        "attempts": float(seen.attempts),
        "attempts_failed": float(seen.attempts_failed),
        "elapsed_s": now - acted_at,
    }

    def verdict(outcome: Outcome, sentence: str) -> Verdict:
        return Verdict(outcome, sentence, now, numbers)

    failed_share = seen.attempts_failed / seen.attempts if seen.attempts else 0.0
    if seen.attempts_failed >= MIN_CALLERS and failed_share > check.max_failed_share:
        return verdict(
            Outcome.WORSE,
            f"{seen.attempts_failed} of {seen.attempts} requests of callers failed since",
        )
    healthy_for = now - seen.ok_since if seen.ok_since is not None else 0.0
    enough = seen.probes_ok_in_a_row >= check.min_probes and healthy_for >= check.hold
    bound, ttft = check.max_time_to_first_token, seen.time_to_first_token
    slow = bound is not None and ttft is not None and ttft > bound
    if ttft is not None:
        numbers["time_to_first_token_s"] = ttft
    if enough and not slow and not found:
        return verdict(
            Outcome.HEALED,
            f"{seen.probes_ok_in_a_row} probes in a row are good over {healthy_for:.1f} s",
        )
    if found and not patient:
        return verdict(Outcome.UNCHANGED, f"it is found again: {found[0]}")
    if now - acted_at < check.timeout:
        return verdict(Outcome.INCONCLUSIVE, "not enough was seen yet")
    return verdict(Outcome.UNCHANGED, _why_not(check, seen, found, slow=slow))


def _why_not(check: Check, seen: Observed, found: Sequence[str], *, slow: bool) -> str:
    if found:
        return f"after {check.timeout:.0f} s still: {found[0]}"
    if slow:
        return (
            f"first token after {seen.time_to_first_token:.2f} s, more than the "
            f"{check.max_time_to_first_token:.2f} s that its siblings' pace allows"
        )
    if seen.last_failure is not None:
        return f"still failing after {check.timeout:.0f} s: {seen.last_failure}"
    return (
        f"only {seen.probes_ok_in_a_row} of {check.min_probes} good probes in a row "
        f"within {check.timeout:.0f} s"
    )
