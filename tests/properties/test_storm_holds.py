"""Whatever the order of a storm: the floor and the budget hold at every instant, and who is most
urgent does not wait behind those who are not."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from vagus.config import PolicySettings
from vagus.model import Subject, Symptom
from vagus.testing.storm import Storm, Tally

POLICY = PolicySettings.model_validate({"floor": "50%", "budget": "25% per 2m", "cooldown": "20s"})
COMPONENTS, REPLICAS = 2, 6
KINDS = (Symptom.GONE, Symptom.SLOW)
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # it is about rules, not about disks


def wave(seed: int) -> list[tuple[Subject, bool, Symptom, float]]:
    """Some of the fleet, in any order: which, whether really, with what symptom, and when."""
    dice = random.Random(seed)
    fleet = [
        Subject(f"c{component:03}", f"c{component:03}-{replica}")
        for component in range(COMPONENTS)
        for replica in range(REPLICAS)
    ]
    return [
        (subject, dice.random() < 0.5, dice.choice(KINDS), dice.uniform(0.0, 20.0))
        for subject in dice.sample(fleet, dice.randint(6, len(fleet)))
    ]


@pytest.mark.parametrize("seed", range(6))
def test_floor_and_budget_hold_at_every_instant(seed: int) -> None:
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as folder:
        storm = Storm(
            Path(folder),
            components=COMPONENTS,
            replicas=REPLICAS,
            policy=POLICY,
            seed=seed,
            admitted=3,
        )
        try:
            for subject, real, symptom, at in wave(seed):
                lasts = None if real else 15.0
                storm.fault(subject, real=real, at=at, lasts=lasts, symptom=symptom)
            storm.run(60.0)
            assert storm.tally.acted["eject"] > 0
            holds(storm.tally)
        finally:
            storm.close()


def holds(tally: Tally) -> None:
    assert tally.floor_broken == []
    assert tally.budget_broken == []


def test_a_real_fault_within_a_wave_of_false_ones_is_repaired(tmp_path: Path) -> None:
    storm = Storm(tmp_path, components=1, replicas=20, policy=POLICY, seed=1, admitted=3)
    try:
        for replica in range(12):
            subject = Subject("c000", f"c000-{replica}")
            storm.fault(subject, real=False, lasts=300.0, symptom=Symptom.SLOW)
        victim = Subject("c000", "c000-19")
        storm.fault(victim, real=True, at=5.0)
        storm.run(40.0)
        healed = {storm.incidents.get(name).subject for name in storm.tally.healed_at}
        assert healed == {victim}
        assert storm.tally.most_waiting > 0
        holds(storm.tally)
    finally:
        storm.close()
