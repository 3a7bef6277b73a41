"""A surge is not a sickness: latency that rises as a queue's does with its load is expected, and
the same latency without the load is a finding.

Arrivals are like those of a recorded hour of conversation with an LLM (5.5 requests a second in the
mean, which wander by half of it over some twenty seconds), drawn with these parameters.
"""

from __future__ import annotations

import numpy as np
import pytest

from vagus.detection.baseline import Budget, Fleet

QUIET, SURGE, RAMP = 1800, 240, 30
CAPACITY = 22.0


def hour(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Requests per second (a mean over ten), and the latency that a queue gives them. The demand
    doubles within half a minute and stays so."""
    random = np.random.default_rng(seed)
    ticks = QUIET + SURGE
    wander = np.zeros(ticks)
    for tick in range(1, ticks):
        wander[tick] = 0.95 * wander[tick - 1] + 0.12 * random.standard_normal()
    times = 1.0 + np.clip((np.arange(ticks) - QUIET) / RAMP, 0.0, 1.0)
    arrivals = random.poisson(5.5 * np.exp(np.clip(wander, -1, 0.5)) * times)
    demand = np.convolve(arrivals, np.full(10, 0.1))[:ticks]
    load = np.minimum(demand / CAPACITY, 0.9)
    return demand, 0.2 / (1.0 - load) * np.exp(0.08 * random.standard_normal(ticks))


@pytest.mark.parametrize("seed", range(4))
def test_a_surge_raises_no_finding(seed: int) -> None:
    demand, latency = hour(seed)
    fleet = Fleet(1.0, Budget(1, 86400.0), seed=seed, fast=False)
    fleet.add(["ttft"], direction=1)
    opened = [
        tick
        for tick in range(len(demand))
        if fleet.update(latency[tick : tick + 1], demand=demand[tick : tick + 1]).opened[0]
    ]
    assert opened == []


def ticks_until_found(seed: int) -> int:
    """The latency of the height of the surge, at the demand of before."""
    demand, latency = hour(seed)
    sick = np.concatenate([latency[:QUIET], latency[QUIET + RAMP + 10 :]])
    usual = np.concatenate([demand[:QUIET], demand[QUIET - 60 : QUIET]])
    fleet = Fleet(1.0, Budget(1, 86400.0), seed=seed, fast=False)
    fleet.add(["ttft"], direction=1)
    for tick in range(QUIET + 60):
        scores = fleet.update(sick[tick : tick + 1], demand=usual[tick : tick + 1])
        if scores.opened[0]:
            return tick - QUIET + 1
    return 10_000


def test_the_same_latency_without_the_demand_does() -> None:
    """Within ten ticks in the median; a series that happened to be noisy just before takes longer
    than ten, and no longer than twice that."""
    found = [ticks_until_found(seed) for seed in range(4)]
    assert min(found) > 0
    assert np.median(found) <= 10
    assert max(found) <= 20
