"""The lab heals by itself as it is configured: what it declares, through the real gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vagus import config
from vagus.lab import declaration, rundir
from vagus.lab.settings import LabSettings
from vagus.model import Cause, Decision, Purpose, Subject, Symptom, Tier
from vagus.policy.grants import load_grants
from vagus.testing.gate_bench import GateBench, asked, gate_bench
from vagus.topology import Topology


def watching_the_lab(bench: GateBench, folder: Path) -> GateBench:
    settings = LabSettings(run_dir=folder / "run", cache_dir=folder / "cache")
    rundir.claim(settings)
    declaration.write(settings)
    declared = config.load(settings.config_file)
    assert declared.policy.licences is not None
    bench.policy, bench.declared = declared.policy, Topology.declared(declared)
    bench.mode, bench.warm_up = declared.mode, declared.healing.warm_up
    for licence in load_grants(declared.policy.licences, declared, now=bench.clock.now()):
        bench.licences.issue(licence)
    return bench


@pytest.mark.parametrize("confidence", [0.6, 0.7, 0.95])
@pytest.mark.parametrize("replica", ["chat/chat-1", "embed/embed-2"])
@pytest.mark.parametrize("symptom", [Symptom.GONE, Symptom.HUNG])
def test_the_whole_ladder_is_climbed_without_a_person(
    tmp_path: Path, confidence: float, replica: str, symptom: Symptom
) -> None:
    target = Subject.parse(replica)
    with gate_bench(tmp_path) as bench:
        watching_the_lab(bench, tmp_path)
        incident = bench.incident(target, symptom)
        cause = Cause(incident.cause.fault, target, confidence)
        contain, restart, restore = (
            replace(asked(incident, action, purpose=purpose, rung=rung), cause=cause)
            for rung, (action, purpose) in enumerate(
                (
                    ("eject", Purpose.CONTAIN),
                    ("restart", Purpose.TREAT),
                    ("restore", Purpose.RETURN),
                )
            )
        )
        bench.act(contain)
        bench.hold(target, "unhealthy")
        assert bench.act(restart).ruling.tier is Tier.R1
        bench.clock.advance(30.0)  # it did not help
        bench.incident(target, symptom)
        replacing = replace(asked(incident, "replace", rung=3), cause=cause)
        assert bench.act(replacing).ruling.tier is Tier.R2
        assert bench.judge(restore).decision is Decision.ALLOW
