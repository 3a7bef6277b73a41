"""The whole of it on the real lab: what is broken is healed, and what must not be touched is not.

One lab for all, Vagus anew for each. Times are those of a busy machine: nothing here is about how
fast it heals (the benchmarks are), only that it does, or rightly doesn't.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from vagus.clock import SystemClock
from vagus.demo.feed import Event, VagusProcess
from vagus.lab.load import on_lab
from vagus.lab.settings import LabSettings
from vagus.lab.stack import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

SETTINGS = LabSettings(offset=12_000)
WITHIN = 120.0  # s for anything to happen
RATE = 0.7  # questions a second: what a shared machine answers without queues


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(SETTINGS) as lab:
        load = on_lab(SETTINGS, RATE)
        loading = asyncio.create_task(load.run())
        yield lab
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)


class Watch:
    """Vagus on the lab, and what it tells."""

    def __init__(self, folder: Path, lab: Lab) -> None:
        self._folder = folder
        self._lab = lab
        self._processes: list[VagusProcess] = []

    async def start(self, mode: str = "auto") -> VagusProcess:
        log = self._folder / f"vagus-{len(self._processes)}.log"
        vagus = VagusProcess(SETTINGS.config_file, log, mode=mode)
        self._processes.append(vagus)
        await vagus.start()
        await vagus.until(lambda e: e.event == "started", since=0, timeout=WITHIN)
        return vagus

    async def end(self) -> None:
        for vagus in self._processes:
            await vagus.stop()
        for name, replica in (await self._lab.client.replicas()).items():
            if replica.component in ("chat", "embed") and (
                replica.state != "running" or replica.fault
            ):
                await self._lab.client.restart(name, f"after {name} {replica.generation}")
        for stale in SETTINGS.run_dir.glob("vagus*.db*"):
            stale.unlink()
        await until_well(self._lab)


async def until_well(lab: Lab) -> None:
    """Every replica runs, and answers its health check."""
    import aiohttp

    clock = SystemClock()
    deadline = clock.monotonic() + WITHIN
    async with aiohttp.ClientSession() as session:
        for replica in (await lab.client.replicas()).values():
            while replica.component in ("chat", "embed", "rag"):
                try:
                    async with session.get(f"{replica.address}/health") as answer:
                        if answer.status == 200:
                            break
                except aiohttp.ClientError:
                    pass  # it is starting
                assert clock.monotonic() < deadline, f"{replica.name} does not come back"
                await clock.sleep(0.2)


@pytest_asyncio.fixture(loop_scope="module")
async def watch(tmp_path: Path, lab: Lab) -> AsyncIterator[Watch]:
    made = Watch(tmp_path, lab)
    yield made
    await made.end()


def about(subject: str, *names: str) -> Callable[[Event], bool]:
    return lambda e: e.event in names and subject in (e.text("subject"), e.text("target"))


def contained(event: Event) -> bool:
    return event.event == "applied" and event.text("purpose") == "contain"


async def test_a_killed_replica_is_healed_and_its_traffic_returned(lab: Lab, watch: Watch) -> None:
    vagus = await watch.start()
    before = (await lab.client.replica("chat-1")).generation
    await lab.client.fault("chat-1", "kill")
    over = await vagus.until(about("chat/chat-1", "resolved", "escalated"), since=0, timeout=WITHIN)
    assert over.event == "resolved"
    replica = await lab.client.replica("chat-1")
    assert (replica.state, replica.generation) == ("running", before + 1)
    endpoints = json.loads((SETTINGS.envoy_dir / "eds_chat.json").read_text())
    assert "UNHEALTHY" not in json.dumps(endpoints)


async def test_shadow_decides_the_same_and_touches_nothing(lab: Lab, watch: Watch) -> None:
    vagus = await watch.start(mode="shadow")
    before = (await lab.client.replica("embed-1")).generation
    steered = (SETTINGS.envoy_dir / "eds_embed.json").read_bytes()
    await lab.client.fault("embed-1", "kill")
    await vagus.until(about("embed/embed-1", "shadowed"), since=0, timeout=WITHIN)
    decided = [e.text("action") for e in vagus.events if e.event == "decided"]
    assert decided == ["eject", "restart"]
    assert [e for e in vagus.events if e.event in ("applied", "failed")] == []
    replica = await lab.client.replica("embed-1")
    assert (replica.state, replica.generation) == ("exited", before)
    assert (SETTINGS.envoy_dir / "eds_embed.json").read_bytes() == steered


async def test_a_second_slow_replica_is_not_ejected_and_a_person_is_told(
    lab: Lab, watch: Watch
) -> None:
    vagus = await watch.start()
    for name in ("chat-1", "chat-2"):
        await lab.client.fault(name, "slow")
    # The first ejection, while it is only written down, already counts against the second: a person
    # may be told of that one before the gateway has acknowledged the first.
    await vagus.until(contained, since=0, timeout=WITHIN)
    await vagus.until(lambda e: e.event == "escalated", since=0, timeout=WITHIN)
    refused = [e for e in vagus.events if e.event == "decided" and e.text("decision") == "deny"]
    assert any("capacity_floor" in e.text("reason") for e in refused)
    assert len({e.text("target") for e in vagus.events if contained(e)}) == 1


async def test_with_all_metrics_gone_it_holds_still_and_says_so(lab: Lab, watch: Watch) -> None:
    vagus = await watch.start()
    names = [n for n, r in (await lab.client.replicas()).items() if r.component in
             ("chat", "embed", "rag")]  # fmt: skip
    try:
        for name in names:
            await lab.client.fault(name, "stop")
        await vagus.until(lambda e: e.event == "escalated", since=0, timeout=WITHIN)
    finally:
        for name in names:
            await lab.client.fault(name, "cont")
    refused = [e for e in vagus.events if e.event == "decided" and e.text("decision") == "deny"]
    assert any("senses" in e.text("reason") for e in refused)
    assert [e for e in vagus.events if e.event == "applied"] == []


async def test_killed_in_the_middle_of_a_remediation_it_goes_on_and_repeats_nothing(
    lab: Lab, watch: Watch
) -> None:
    vagus = await watch.start()
    before = (await lab.client.replica("chat-3")).generation
    await lab.client.fault("chat-3", "kill")
    await vagus.until(
        lambda e: e.event == "applied" and e.text("action") == "restart", since=0, timeout=WITHIN
    )
    vagus.send(signal.SIGKILL)
    again = await watch.start()
    over = await again.until(about("chat/chat-3", "resolved", "escalated"), since=0, timeout=WITHIN)
    assert over.event == "resolved"
    assert (await lab.client.replica("chat-3")).generation == before + 1


async def test_ctrl_c_leaves_no_process_and_no_taken_port(lab: Lab, watch: Watch) -> None:
    vagus = await watch.start()
    process = psutil.Process(vagus.pid)
    vagus.send(signal.SIGINT)
    assert psutil.wait_procs([process, *process.children(recursive=True)], timeout=20)[1] == []
    await watch.start()  # its port and its state are free again
