"""One short case of the reaction benchmark, with the real Envoy and real processes."""

from __future__ import annotations

import pytest

from benchmarks.reaction import case
from benchmarks.reaction.rig import Rig
from benchmarks.reaction.systems import EnvoyAlone
from vagus.clock import SystemClock
from vagus.lab.envoy_clusters import Protection

pytest.importorskip("envoy", reason="needs the extra 'lab'")

pytestmark = pytest.mark.e2e


class Watched(EnvoyAlone):
    """Envoy alone, remembering its rig."""

    rigs: list[Rig] = []  # noqa: RUF012

    async def start(self, rig: Rig) -> None:
        self.rigs.append(rig)


async def test_a_killed_replica_is_noticed_by_callers_and_left_by_a_tuned_envoy() -> None:
    system = Watched("tuned", "Envoy tuned", Protection.TUNED)
    length = case.Length(before=50, after=150, runs=1)
    found = await case.measure(system, "kill", 1, length, SystemClock())
    assert 150 <= found.requests <= 200
    assert found.bad < found.requests / 4
    assert found.safe_s is not None
    (rig,) = system.rigs
    assert not rig.folder.exists()
    assert all(process.returncode is not None for process in rig.upstreams.values())


async def test_garbage_is_bad_and_a_gateway_that_sees_only_status_goes_on_sending() -> None:
    system = EnvoyAlone("default", "Envoy default", Protection.DEFAULT)
    length = case.Length(before=50, after=150, runs=1)
    found = await case.measure(system, "garbage", 1, length, SystemClock())
    assert found.flaws == {"wrong type": found.bad}
    assert found.bad > 30
    assert found.safe_s is None
