"""Simulated models: no more false alarms than declared, and soon when they are worse."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.detection.answers import Canaries, Completions, Perplexity
from vagus.detection.answers.canaries import most_misses
from vagus.detection.answers.completions import hamming
from vagus.detection.answers.evidence import Ranks
from vagus.errors import MalformedData

TEXTS = [f"text {number}" for number in range(12)]
CENTRES = {text: 2.0 + 0.1 * number for number, text in enumerate(TEXTS)}


def surprises(
    count: int, seed: int, *, worse: float = 0.0, noise: float = 0.05
) -> list[tuple[str, float]]:
    random = np.random.default_rng(seed)
    return [
        (text, CENTRES[text] + worse + noise * float(random.normal()))
        for text in random.choice(TEXTS, count).tolist()
    ]


def perplexity(seed: int, run_length: float) -> Perplexity:
    return Perplexity(CENTRES, surprises(60, seed), run_length=run_length, seed=seed)


def test_perplexity_keeps_its_run_length() -> None:
    alarms = 0
    for seed in range(40):
        detector = perplexity(seed, 200.0)
        alarms += sum(detector.observe(*one) for one in surprises(1_000, 1_000 + seed))
    assert 0 < alarms <= 200  # as many are allowed; some must come


def test_a_perplexity_that_hardly_moves_is_never_an_alarm() -> None:
    """Another machine computes a little differently, and that is no regression."""
    detector = Perplexity(CENTRES, surprises(60, 1, noise=0.0), run_length=10.0)
    moved = surprises(2_000, 2, worse=0.005, noise=0.001)
    assert not any(detector.observe(*one) for one in moved)


@pytest.mark.parametrize(("worse", "within"), [(0.1, 40), (0.5, 15)])
def test_a_higher_perplexity_is_found(worse: float, within: int) -> None:
    delays = []
    for seed in range(20):
        detector, later = perplexity(seed, 10_000.0), surprises(200, 99 + seed, worse=worse)
        delays.append(next(n for n, one in enumerate(later, 1) if detector.observe(*one)))
    assert np.median(delays) <= within


def test_what_is_no_perplexity_is_refused() -> None:
    detector = perplexity(1, 100.0)
    with pytest.raises(MalformedData, match="no healthy value"):
        detector.observe("another", 1.0)
    with pytest.raises(MalformedData, match="perplexity of nan"):
        detector.observe(TEXTS[0], float("nan"))
    with pytest.raises(MalformedData, match="at least 20"):
        Perplexity(CENTRES, surprises(5, 1))
    with pytest.raises(MalformedData, match="not a number"):
        Perplexity({"a": float("inf")}, [])


def test_canaries_keep_their_run_length_though_the_healthy_rate_is_only_estimated() -> None:
    alarms, asked, length = 0, 0, 3_000
    for seed in range(30):
        random = np.random.default_rng(seed)
        detector = Canaries(int((random.random(200) < 0.9).sum()), 200, run_length=300.0)
        alarms += sum(detector.observe(bool(hit)) for hit in random.random(length) < 0.9)
        asked += length
    assert 0 < alarms <= asked / 300.0


@pytest.mark.parametrize(("rate", "within"), [(0.75, 90), (0.5, 35), (0.05, 20)])
def test_canaries_that_miss_are_found(rate: float, within: int) -> None:
    delays = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        detector = Canaries(190, 200, run_length=10_000.0)
        hits = (random.random(2_000) < rate).tolist()
        delays.append(next(n for n, hit in enumerate(hits, 1) if detector.observe(hit)))
    assert np.median(delays) <= within


def test_a_model_that_always_hit_may_miss_once() -> None:
    detector = Canaries(50, 50, run_length=100.0)
    assert not detector.observe(False)
    assert not any(detector.observe(True) for _ in range(200))


@pytest.mark.parametrize(("misses", "asked", "bound"), [(0, 59, 0.05), (5, 100, 0.1023), (3, 3, 1)])
def test_the_bound_is_that_of_clopper_and_pearson(misses: int, asked: int, bound: float) -> None:
    assert most_misses(misses, asked) == pytest.approx(bound, abs=1e-3)


@pytest.mark.parametrize(("hits", "asked"), [(10, 10), (30, 25), (-1, 40)])
def test_what_is_no_recording_is_refused(hits: int, asked: int) -> None:
    with pytest.raises(MalformedData, match="canary prompts"):
        Canaries(hits, asked)


WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "looked", "at", "rain"]


def completions(count: int, random: np.random.Generator, words: list[str]) -> dict[str, list[str]]:
    return {
        prompt: [" ".join(random.choice(words, 8)) for _ in range(count)]
        for prompt in ("one", "two", "three")
    }


def test_completions_keep_their_run_length() -> None:
    alarms = 0
    for seed in range(6):
        random = np.random.default_rng(seed)
        detector = Completions(completions(10, random, WORDS), run_length=20.0, seed=seed)
        alarms += sum(detector.observe(completions(3, random, WORDS)) for _ in range(30))
    assert alarms <= 9  # of 180 batches


def test_completions_of_another_model_are_found() -> None:
    random = np.random.default_rng(1)
    detector = Completions(completions(10, random, WORDS), run_length=1_000.0)
    assert not any(detector.observe(completions(3, random, WORDS)) for _ in range(5))
    other = ["dog", "ran", "under", "bushes", "barking", "loudly"]
    assert any(detector.observe(completions(3, random, other)) for _ in range(15))


def test_completions_of_nothing_say_nothing() -> None:
    random = np.random.default_rng(1)
    detector = Completions(completions(10, random, WORDS))
    before = detector.wealth.level
    assert not detector.observe({})
    assert not detector.observe({"one": []})
    assert detector.wealth.level == before
    with pytest.raises(MalformedData, match="without healthy completions"):
        detector.observe({"four": ["a"]})
    with pytest.raises(MalformedData, match="at least 5"):
        Completions({"one": ["a"]})


def test_likeness_is_the_share_of_places() -> None:
    kernel = hamming(["abcd", "abxd", ""])
    assert kernel[0, 1] == pytest.approx(1.0 - 1 / 200)
    assert kernel[0, 2] == pytest.approx(1.0 - 4 / 200)
    assert np.array_equal(kernel, kernel.T)


def test_ranks_count_what_came_before() -> None:
    ranks = Ranks([1.0, 2.0])
    assert ranks.rank(3.0, 1.0) == pytest.approx(1 / 3)
    assert ranks.rank(0.0, 0.5) == pytest.approx(3.5 / 4)
    assert ranks.rank(2.0, 1.0) == pytest.approx(3 / 5)
