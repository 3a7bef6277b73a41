"""Burn rates in two windows: what matters, and is still so."""

from __future__ import annotations

import numpy as np
import pytest

from vagus.detection.baseline.burn import Burn, Burning

START = 1_700_000_040.0


def minutes(burn: Burn, count: int, bad: float, requests: float, first: int = 0) -> Burning:
    for minute in range(first, first + count):
        said = burn.update(START + 60.0 * minute, np.array([bad]), np.array([requests]))
    return said


def test_a_fast_burn_is_told_and_ends_soon_after_its_cause() -> None:
    burn = Burn([0.01])
    assert not minutes(burn, 60, 0.5, 100).alarm[0]
    said = minutes(burn, 10, 100, 100, first=60)
    assert said.alarm[0]
    assert said.since_minutes[0] == 60
    assert said.rate[0] == pytest.approx(100.0)
    assert minutes(burn, 6, 0, 100, first=70).since_minutes[0] == 360  # the slow pair, still
    assert not minutes(burn, 25, 0, 100, first=76).alarm[0]


def test_a_slow_burn_needs_hours() -> None:
    burn = Burn([0.01])
    minutes(burn, 360, 0, 100)
    assert not minutes(burn, 60, 8, 100, first=360).alarm[0]
    said = minutes(burn, 240, 8, 100, first=420)
    assert said.alarm[0]
    assert said.since_minutes[0] == 360


def test_little_traffic_says_nothing() -> None:
    assert not minutes(Burn([0.001]), 60, 0.05, 0.1).alarm[0]
    assert not minutes(Burn([0.001]), 3, 1, 100).alarm[0]


def test_what_is_no_number_and_time_that_jumps() -> None:
    burn = Burn([0.01])
    minutes(burn, 10, 100, 100)
    said = burn.update(START - 1e6, np.array([np.nan]), np.array([np.inf]))
    assert said.alarm[0]
    said = burn.update(START + 1e9, np.array([0.0]), np.array([100.0]))
    assert not said.alarm[0]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_an_objective_allows_something_and_not_everything(share: float) -> None:
    with pytest.raises(ValueError, match="objective"):
        Burn([share])
