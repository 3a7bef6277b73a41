"""Verification: silence is never health, and nobody moves the goal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vagus.model import Check, Failure, Observed, Outcome, Subject
from vagus.verification.observe import judge

CHECK = Check(
    subject=Subject("chat", "chat-1"),
    min_probes=3,
    hold=5.0,
    timeout=60.0,
    max_time_to_first_token=1.0,
    max_failed_share=0.05,
)


def look(seen: Observed, *, elapsed: float, check: Check = CHECK) -> Outcome:
    return judge(check, seen, acted_at=100.0, now=100.0 + elapsed).outcome


def good(row: int, since: float, **more: object) -> Observed:
    return Observed(since=100.0, until=200.0, probes_ok_in_a_row=row, ok_since=since, **more)  # type: ignore[arg-type]


def test_good_probes_over_the_hold_are_health() -> None:
    assert look(good(5, 101.0), elapsed=7.0) is Outcome.HEALED


def test_too_few_probes_are_inconclusive_however_long_ago_they_were() -> None:
    assert look(good(2, 101.0), elapsed=30.0) is Outcome.INCONCLUSIVE


def test_enough_probes_within_too_short_a_time_are_inconclusive() -> None:
    assert look(good(9, 104.0), elapsed=5.0) is Outcome.INCONCLUSIVE


def test_nothing_seen_is_inconclusive_and_in_the_end_unchanged() -> None:
    nothing = Observed(since=100.0, until=100.0)
    assert look(nothing, elapsed=59.0) is Outcome.INCONCLUSIVE
    assert look(nothing, elapsed=60.0) is Outcome.UNCHANGED


def test_a_replica_that_answers_but_slowly_is_not_healed() -> None:
    slow = good(9, 101.0, time_to_first_token=1.4)
    assert look(slow, elapsed=30.0) is Outcome.INCONCLUSIVE
    verdict = judge(CHECK, slow, acted_at=100.0, now=161.0)
    assert verdict.outcome is Outcome.UNCHANGED
    assert "1.40 s" in verdict.sentence


def test_the_last_failure_is_named_when_time_runs_out() -> None:
    seen = Observed(since=100.0, until=160.0, probes_failed=40, last_failure=Failure.REFUSED)
    assert "refused" in judge(CHECK, seen, acted_at=100.0, now=170.0).sentence


def test_what_detection_still_finds_outweighs_good_probes() -> None:
    seen = good(9, 101.0)
    verdict = judge(CHECK, seen, ["chat-1 trickles"], acted_at=100.0, now=110.0)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    verdict = judge(CHECK, seen, ["chat-1 trickles"], acted_at=100.0, now=170.0)
    assert verdict.outcome is Outcome.UNCHANGED
    assert "chat-1 trickles" in verdict.sentence


def test_callers_that_fail_are_worse_at_once_even_with_good_probes() -> None:
    seen = good(9, 101.0, attempts=20, attempts_failed=2)
    assert look(seen, elapsed=8.0) is Outcome.WORSE


def test_one_failed_caller_is_no_verdict() -> None:
    seen = good(9, 101.0, attempts=2, attempts_failed=1)
    assert look(seen, elapsed=8.0) is Outcome.HEALED


@given(
    row=st.integers(0, 50),
    ok_since=st.one_of(st.none(), st.floats(100, 200)),
    failed=st.integers(0, 50),
    attempts=st.integers(0, 100),
    elapsed=st.floats(0, 200),
)
def test_health_always_rests_on_enough_evidence(
    row: int, ok_since: float | None, failed: int, attempts: int, elapsed: float
) -> None:
    seen = Observed(
        since=100.0,
        until=300.0,
        probes_ok_in_a_row=row,
        ok_since=ok_since,
        attempts=attempts,
        attempts_failed=min(failed, attempts),
    )
    outcome = look(seen, elapsed=elapsed)
    if outcome is Outcome.HEALED:
        assert row >= CHECK.min_probes
        assert ok_since is not None
        assert 100.0 + elapsed - ok_since >= CHECK.hold
    if outcome is Outcome.UNCHANGED:
        assert elapsed >= CHECK.timeout
