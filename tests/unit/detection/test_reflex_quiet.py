"""Hours in which nothing is wrong. A reflex that cries wolf would be switched off within a day.

The loads have what real ones have: bursts, queues, long answers among short ones, a machine on
which everything is slow at times, and pauses of single replicas. More seeds and longer runs of the
same are one number away (``MINUTES``).
"""

from __future__ import annotations

import random

import pytest

from vagus.detection.reflexes import Reflexes
from vagus.testing.evidence import stack
from vagus.testing.traffic import LIGHT, LLM, STORM, Fault, Load, Stack, Weather, watch

TOPOLOGY = stack(chat=3)
MINUTES = {"light": 3, "llm": 20, "storm": 10}


def run(load: Load, minutes: float, seed: int, **happenings: object) -> list[str]:
    reflexes = Reflexes(lambda: TOPOLOGY)
    world = Stack(TOPOLOGY, "chat", load, seed=seed, **happenings)  # type: ignore[arg-type]
    return [f"{now:.1f} s: {f.sentence}" for now, f in watch(world, reflexes, 60.0 * minutes)]


@pytest.mark.parametrize("seed", [11, 12])
def test_fifty_light_requests_a_second(seed: int) -> None:
    assert run(LIGHT, MINUTES["light"], seed) == []


@pytest.mark.parametrize("seed", [11, 12])
def test_a_language_model_with_bursts(seed: int) -> None:
    assert run(LLM, MINUTES["llm"], seed) == []


def test_overload_with_queues_everywhere() -> None:
    assert run(STORM, MINUTES["storm"], 11) == []


def test_short_pauses_of_single_replicas() -> None:
    """As of a garbage collector: up to 0.25 s, a few times a minute."""
    chance = random.Random(13)
    faults = []
    for n in range(15):
        at = 15.0 + 10 * n + chance.random()
        pause = Fault("pause", at, until=at + chance.uniform(0.05, 0.25))
        faults.append((f"chat-{chance.randint(1, 3)}", pause))
    assert run(LIGHT, 2.9, 13, faults=faults) == []


def test_a_machine_on_which_everything_is_slow_at_times() -> None:
    weather = [Weather(20.0 + 30 * n, 30.0 + 30 * n, factor=2.0 + 2 * n) for n in range(4)]
    assert run(LIGHT, 2.6, 14, weather=weather) == []


def test_one_failure_in_two_hundred_everywhere() -> None:
    faults = [(f"chat-{n}", Fault("http-500", 0.0, share=0.005)) for n in (1, 2, 3)]
    assert run(LIGHT, MINUTES["light"], 15, faults=faults) == []
