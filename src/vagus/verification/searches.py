"""Whether a collection's searches are well again, by the same searches that raised the alarm.

Healed means that the promise is kept, as a whole and in each cluster of queries that was looked at:
an index may be built anew and have lost another slice. *Worse* is said as soon as it is sure, since
what was there before is kept aside and can be taken back at once: clearly less is found than before
and than was promised, or the same takes callers several times as long. That it merely did not help
is said by the deadline.
"""

from __future__ import annotations

from collections.abc import Sequence

from vagus.model import Check, Observed, Outcome, Searches, Verdict

MIN_SEARCHES = 24
SURE = 3.0  # standard errors
ALLOWED = 2.0  # standard errors by which a cluster may lie below the promise: few searches vary
OF_A_CLUSTER = 4  # searches without which nothing is said of it
SLOWER = 4.0  # times the latency before ...
SLOWER_BY = 0.05  # ... and at least so many s more: a busy machine is no worse index


def judge_searches(
    check: Check, seen: Observed, found: Sequence[str], *, acted_at: float, now: float
) -> Verdict:
    """The verdict on ``check`` given what was ``seen`` of a collection since ``acted_at``."""
    after, before = seen.searches, check.before
    numbers = {"elapsed_s": now - acted_at, "searches": float(after.whole.count if after else 0)}
    if after is not None:
        numbers |= {"recall": after.whole.recall, "latency_s": after.latency}
    if before is not None:
        numbers |= {"recall_before": before.whole.recall, "latency_before_s": before.latency}

    def verdict(outcome: Outcome, sentence: str) -> Verdict:
        return Verdict(outcome, sentence, now, numbers)

    enough = after is not None and after.whole.count >= MIN_SEARCHES
    if after is not None and before is not None and enough:
        worse = _worse(check, before, after)
        if worse:
            return verdict(Outcome.WORSE, worse)
    low = _below(check, after) if after is not None else ""
    if after is not None and enough and not low and not found and now - acted_at >= check.hold:
        return verdict(
            Outcome.HEALED,
            f"{after.whole.count} searches find {after.whole.recall:.1%} of the nearest rows",
        )
    if now - acted_at < check.timeout:
        return verdict(Outcome.INCONCLUSIVE, "not enough was seen yet")
    why = low or (f"still: {found[0]}" if found else "too few searches were answered")
    return verdict(Outcome.UNCHANGED, f"after {check.timeout:.0f} s {why}")


def _worse(check: Check, before: Searches, after: Searches) -> str:
    was, now = before.whole, after.whole
    doubt = SURE * (was.error**2 + now.error**2) ** 0.5
    if now.recall < was.recall - doubt and now.recall < check.min_recall:
        return f"{now.recall:.0%} of the nearest rows are found, and {was.recall:.0%} were before"
    if after.latency > max(SLOWER * before.latency, before.latency + SLOWER_BY):
        return f"a search takes {after.latency * 1e3:.0f} ms, and {before.latency * 1e3:.0f} before"
    return ""


def _below(check: Check, after: Searches) -> str:
    """What does not keep the promise, in words."""
    if after.whole.recall < check.min_recall:
        return f"{after.whole.recall:.0%} of the nearest rows are found"
    for part in after.slices:
        bound = check.min_recall - ALLOWED * part.error
        if part.count >= OF_A_CLUSTER and part.recall < bound:
            return f"{part.recall:.0%} are found in the cluster {part.cluster}"
    return ""
