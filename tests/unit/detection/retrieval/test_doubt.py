"""Evidence against a promise: it holds its rate of false alarms, and tells loss soon."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.detection.retrieval.doubt import STAKES, Doubt, needed

BAR = math.log(200)  # low, so that false alarms can be counted


def first_alarm(values: list[float], promise: float, bar: float) -> int:
    """After how many observations; as many as there are if it never alarms."""
    doubt = Doubt(promise)
    for count, value in enumerate(values, 1):
        doubt.see(value)
        if doubt.nats >= bar:
            return count
    return len(values)


@pytest.mark.parametrize("shape", ["constant", "all or nothing", "drifting"])
def test_while_the_promise_is_just_kept_alarms_come_as_rarely_as_declared(shape: str) -> None:
    chance, promise, long = np.random.default_rng(1), 0.9, 1000
    waited = []
    for _ in range(60):
        if shape == "constant":
            values = np.full(long, promise)
        elif shape == "all or nothing":
            values = (chance.random(long) < promise).astype(float)
        else:  # better and better, never worse than promised
            values = np.clip(promise + np.linspace(0, 0.1, long) - 0.05 * chance.random(long), 0, 1)
            values = np.maximum(values, promise)
        waited.append(first_alarm(values.tolist(), promise, BAR))
    assert np.mean(waited) >= math.exp(BAR)


@pytest.mark.parametrize(("recall", "at_most"), [(0.0, 12), (0.2, 15), (0.6, 60), (0.75, 200)])
def test_loss_is_told_soon(recall: float, at_most: int) -> None:
    chance = np.random.default_rng(2)
    bar = needed(per_second=10.0, count=0.1, period=604800.0)
    waited = [
        first_alarm((chance.binomial(10, recall, 2000) / 10).tolist(), 0.9, bar) for _ in range(20)
    ]
    assert np.median(waited) <= at_most


@given(st.lists(st.floats(0, 1), max_size=200), st.floats(0.01, 0.99))
def test_it_is_the_sum_of_what_every_start_would_have_won(
    values: list[float], promise: float
) -> None:
    doubt = Doubt(promise)
    for value in values:
        doubt.see(value)
    won = 0.0
    for share in STAKES:
        stake = share / (1 - promise)
        for start in range(len(values)):
            won += math.prod(1 + stake * (promise - value) for value in values[start:])
    expected = math.log(won / len(STAKES)) if won else float("-inf")
    assert doubt.nats == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("promise", [0.0, 1.0, -1.0, 2.0])
def test_nothing_and_all_can_not_be_promised(promise: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Doubt(promise)
