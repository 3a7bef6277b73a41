"""What a success rate's lower bound promises, it keeps: for every rate and number of trials."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vagus.model import Outcome, Subject, TrackRecord, Trial, lower_bound

counts = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def at_least(successes: int, trials: int, rate: float) -> float:
    """P(X >= successes), by the definition, in exact whole numbers as far as it goes."""
    return math.fsum(
        math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k)
        for k in range(successes, trials + 1)
    )


@pytest.mark.parametrize(
    ("healed", "of", "bound"),
    [(29, 29, 0.9018), (28, 28, 0.8985), (14, 14, 0.8073), (13, 13, 0.7941), (4, 5, 0.3426)],
)
def test_known_bounds(healed: int, of: int, bound: float) -> None:
    assert lower_bound(healed, of) == pytest.approx(bound, abs=1e-4)


def test_what_licences_are_said_to_need() -> None:
    assert lower_bound(29, 29) >= 0.9 > lower_bound(28, 28)
    assert lower_bound(14, 14) >= 0.8 > lower_bound(13, 13)


@given(counts, st.floats(0.01, 0.99))
def test_a_true_rate_is_rarely_called_refuted(count: tuple[int, int], rate: float) -> None:
    """The promise itself: of all outcomes whose bound lies above the true rate, the probability
    together is no more than 5 %."""
    _, trials = count
    wrong = math.fsum(
        math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k)
        for k in range(trials + 1)
        if lower_bound(k, trials) > rate
    )
    assert wrong <= 0.05 + 1e-9


@given(counts)
def test_the_bound_is_where_the_tail_weighs_five_percent(count: tuple[int, int]) -> None:
    healed, trials = count
    assume(healed > 0)
    bound = lower_bound(healed, trials)
    assert 0 < bound < healed / trials
    assert at_least(healed, trials, bound) == pytest.approx(0.05, rel=1e-6)


@given(counts)
def test_success_raises_it_and_failure_lowers_it(count: tuple[int, int]) -> None:
    healed, trials = count
    bound = lower_bound(healed, trials)
    assert lower_bound(healed + 1, trials + 1) > bound
    assert lower_bound(healed, trials + 1) <= bound


@pytest.mark.parametrize(("healed", "of"), [(1, 0), (-1, 3), (4, 3)])
def test_impossible_counts_are_refused(healed: int, of: int) -> None:
    with pytest.raises(ValueError, match="successes in"):
        lower_bound(healed, of)


outcomes = st.lists(
    st.tuples(st.sampled_from(Outcome), st.sampled_from(["chat-1", "chat-2"]), st.floats(0, 600)),
    max_size=40,
)


@given(outcomes, st.randoms(use_true_random=False))
def test_a_record_counts_each_outcome_as_what_it_is(
    drawn: list[tuple[Outcome, str, float]], random: object
) -> None:
    trials = [
        Trial(str(n), float(n), "restart", "slow", Subject("chat", name), "default", outcome, took)
        for n, (outcome, name, took) in enumerate(drawn)
    ]
    record = TrackRecord.of("restart", "slow", "chat", trials)
    by_outcome = {o: [t for t in trials if t.outcome is o] for o in Outcome}
    healed = by_outcome[Outcome.HEALED]
    assert record.healed == len(healed)
    assert record.worse == len(by_outcome[Outcome.WORSE])
    assert record.samples == len(trials) - len(by_outcome[Outcome.INCONCLUSIVE])
    assert record.bound == lower_bound(record.healed, record.samples)
    if healed:
        assert record.took_p95 is not None
        assert sum(t.took <= record.took_p95 for t in healed) >= 0.95 * len(healed)
        assert record.took_p95 in {t.took for t in healed}
    else:
        assert record.took_p95 is None
    random.shuffle(trials)  # type: ignore[attr-defined]
    assert TrackRecord.of("restart", "slow", "chat", trials) == record
