"""What is healed, worse and neither, by the searches before and after."""

from __future__ import annotations

import pytest

from vagus.model import Check, Observed, Outcome, Searches, Slice, Subject
from vagus.verification.observe import judge

PASSAGES = Subject("vectors", "passages")


def searches(recall: float, *slices: Slice, count: int = 60, latency: float = 0.01) -> Searches:
    return Searches(Slice("", count, recall, 0.02), 1.0, latency, slices)


def verdict(
    before: Searches | None,
    after: Searches | None,
    *found: str,
    elapsed: float = 10.0,
) -> Outcome:
    check = Check(PASSAGES, 3, hold=2.0, timeout=30.0, min_recall=0.9, before=before)
    seen = Observed(100.0, 100.0 + elapsed, searches=after)
    return judge(check, seen, found, acted_at=100.0, now=100.0 + elapsed).outcome


BEFORE = searches(0.6)


@pytest.mark.parametrize(
    ("after", "outcome"),
    [
        (searches(0.97), Outcome.HEALED),
        (searches(0.97, count=5), Outcome.INCONCLUSIVE),
        (searches(0.97, Slice("new", 20, 0.5, 0.02)), Outcome.INCONCLUSIVE),
        (searches(0.97, Slice("new", 1, 0.5, 0.0)), Outcome.HEALED),
        (searches(0.97, Slice("1", 20, 0.88, 0.02)), Outcome.HEALED),
        (searches(0.8), Outcome.INCONCLUSIVE),
        (searches(0.55), Outcome.INCONCLUSIVE),
        (searches(0.3), Outcome.WORSE),
        (searches(0.97, latency=0.5), Outcome.WORSE),
        (searches(0.97, latency=0.055), Outcome.HEALED),
        (None, Outcome.INCONCLUSIVE),
    ],
)
def test_verdicts(after: Searches | None, outcome: Outcome) -> None:
    assert verdict(BEFORE, after) is outcome


def test_what_is_still_found_outweighs() -> None:
    assert verdict(BEFORE, searches(0.97), "rows are missing") is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("after", [searches(0.8), searches(0.97, count=5), None])
def test_the_deadline_says_that_nothing_changed(after: Searches | None) -> None:
    assert verdict(BEFORE, after, elapsed=31.0) is Outcome.UNCHANGED


def test_less_than_before_that_still_keeps_the_promise_is_no_worse() -> None:
    assert verdict(searches(0.999), searches(0.93)) is Outcome.HEALED


def test_it_must_hold_for_a_while() -> None:
    assert verdict(BEFORE, searches(0.97), elapsed=1.0) is Outcome.INCONCLUSIVE
