"""A workflow that ends without concluding its incident leaves nobody believing that it heals."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from dbos import DBOS

from vagus import durable
from vagus.abandoned import RETRY, RETRY_MOST, Abandoned
from vagus.clock import ManualClock
from vagus.healing_steps import Hands
from vagus.model import (
    Ask,
    Decision,
    GuardRuling,
    Incident,
    IncidentState,
    IntentState,
    Remedy,
    Tier,
)
from vagus.reconcile import LOOK_AFTER, Reconciler
from vagus.testing.bench import Bench


class Mistake(Exception):
    """Of ours."""


class Trap:
    """What somebody got wrong in the middle of a step, until it is mended."""

    def __init__(self) -> None:
        self.mended = False

    def __call__(self, hands: Hands) -> Hands:
        return replace(hands, tier=self._tier)

    def _tier(self, remedy: Remedy) -> Tier:
        if remedy.action == "restart" and not self.mended:
            raise Mistake("no tier for it")
        return Tier.R1


class Desk:
    """The reconciler of a bench, at a time of its own."""

    def __init__(self, bench: Bench) -> None:
        self.clock = ManualClock(bench.clock.now())
        self.bench = bench
        self.abandoned = Abandoned(bench.incidents, bench.ledger, self.clock, durable.ended)
        self._reconciler = Reconciler(
            clock=self.clock,
            incidents=bench.incidents,
            topology=lambda: bench.declared,
            open_findings=lambda: [
                f for found in bench.incidents.open_findings().values() for f in found
            ],
            asking=frozenset,
            start=self._start,
            look_after=self._look_after,
        )

    async def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self._reconciler.reconcile()

    async def _start(self, incident: Incident) -> None:
        await asyncio.to_thread(self.bench.healer.ensure, incident.id, incident.epoch)

    async def _look_after(self, incidents: Sequence[Incident]) -> None:
        await asyncio.to_thread(self.abandoned.look, incidents)


@contextmanager
def opened(folder: Path, trap: Trap) -> Iterator[Bench]:
    bench = Bench(folder, trap)
    try:
        yield bench
    finally:
        bench.close()


def until_over(workflow: str) -> None:
    deadline = time.monotonic() + 60
    while workflow not in durable.ended([workflow]):
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def test_a_mistake_of_ours_is_told_to_people_and_tried_again(tmp_path: Path) -> None:
    trap = Trap()
    with opened(tmp_path, trap) as bench:
        incident, desk = bench.sicken(), Desk(bench)
        await desk.after(0.0)
        await asyncio.to_thread(until_over, incident.workflow_id)
        assert bench.incidents.get(incident.id).state is IncidentState.OPEN
        await desk.after(LOOK_AFTER)
        left = bench.incidents.get(incident.id)
        assert left.state is IncidentState.ESCALATED
        assert left.note == "its healing broke: Mistake: no tier for it"
        assert left.retry_at == desk.clock.now() + RETRY
        told = [e for e in bench.ledger.entries() if e.event == "escalated"]
        assert [(e.workflow, e.facts["note"]) for e in told] == [(left.workflow_id, left.note)]
        assert bench.world.endpoint("chat-2").health == "unhealthy"  # callers are still kept away

        trap.mended = True
        await desk.after(RETRY)
        again = bench.incidents.get(incident.id)
        assert again.epoch == incident.epoch + 1
        assert (await asyncio.to_thread(bench.heal, again)).state is IncidentState.RESOLVED
        assert bench.done(incident).count(("restart", IntentState.APPLIED)) == 1


BREAKS = """
import os, sys, time
from dataclasses import replace
from pathlib import Path
from vagus import durable
from vagus.testing.bench import Bench

bench = Bench(Path(sys.argv[1]), lambda hands: replace(hands, tier=lambda remedy: 1 / 0))
incident = bench.sicken()
bench.healer.ensure(incident.id, incident.epoch)
while not durable.ended([incident.workflow_id]):
    time.sleep(0.01)
os._exit(9)
"""


async def test_what_broke_before_the_process_ended_is_found_by_the_next(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", BREAKS, str(tmp_path)), stderr=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 9
    with opened(tmp_path, Trap()) as bench:
        (incident,), desk = bench.incidents.active(), Desk(bench)
        assert incident.state is IncidentState.OPEN
        await desk.after(0.0)
        await desk.after(LOOK_AFTER)
        assert "ZeroDivisionError" in bench.incidents.get(incident.id).note


async def test_what_breaks_each_time_is_tried_less_and_less(tmp_path: Path) -> None:
    with opened(tmp_path, Trap()) as bench:
        incident, desk = bench.sicken(), Desk(bench)
        waits = []
        for _ in range(3):
            await desk.after(0.0)
            workflow = bench.incidents.get(incident.id).workflow_id
            await asyncio.to_thread(until_over, workflow)
            await desk.after(LOOK_AFTER)
            left = bench.incidents.get(incident.id)
            assert left.retry_at is not None
            waits.append(left.retry_at - desk.clock.now())
            desk.clock.advance(waits[-1])
        assert waits == pytest.approx([RETRY, 2 * RETRY, 4 * RETRY])
        assert max(waits) < RETRY_MOST


def test_who_waits_for_people_runs_unless_another_version_began_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap = Trap()
    trap.mended = True
    with opened(tmp_path, trap) as bench:
        bench.deny["restart"] = GuardRuling("tier", Decision.ASK, "a person", ask=Ask(1))
        incident, desk = bench.sicken(), Desk(bench)
        bench.healer.ensure(incident.id, incident.epoch)
        desk.abandoned.look([incident])
        assert bench.incidents.get(incident.id).state is IncidentState.OPEN
        monkeypatch.setattr(durable, "VERSION", "healing-next")
        desk.abandoned.look([bench.incidents.get(incident.id)])
        left = bench.incidents.get(incident.id)
        assert left.state is IncidentState.ESCALATED
        assert "by another version" in left.note


def test_what_was_concluded_in_the_same_moment_stays_concluded(tmp_path: Path) -> None:
    trap = Trap()
    trap.mended = True
    with opened(tmp_path, trap) as bench:
        incident = bench.sicken()
        assert bench.heal(incident).state is IncidentState.RESOLVED
        DBOS.retrieve_workflow(incident.workflow_id).get_result()
        Desk(bench).abandoned.look([incident])  # as it was read a moment before
        assert bench.incidents.get(incident.id).state is IncidentState.RESOLVED
