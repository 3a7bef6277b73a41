"""Experiments on the real lab, by the command line that people use."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from vagus.chaos.undo import Shelf
from vagus.clock import SystemClock
from vagus.demo.feed import VagusProcess
from vagus.lab.load import on_lab
from vagus.lab.settings import LabSettings
from vagus.lab.stack import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

SETTINGS = LabSettings(offset=14_000)
WITHIN = 180.0  # s for anything to happen
RATE = 0.3  # questions a second: what a busy machine answers without queues
INTENTS = SETTINGS.run_dir / "intents.yaml"
SHELF = Shelf(SETTINGS.run_dir / "chaos" / "undo")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    async with Lab(SETTINGS) as lab:
        load = on_lab(SETTINGS, RATE)
        loading = asyncio.create_task(load.run())
        yield lab
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)


class Stack:
    """Vagus on the lab, an operator's token, and intents."""

    def __init__(self, folder: Path, lab: Lab) -> None:
        self.lab = lab
        self._folder = folder
        self._vagus: VagusProcess | None = None
        self.token = folder / "token"

    async def start(self, mode: str = "auto", **chaos: str) -> VagusProcess:
        config = yaml.safe_load(SETTINGS.config_file.read_text())
        config["chaos"] = chaos
        changed = SETTINGS.run_dir / "vagus-chaos.yaml"
        changed.write_text(yaml.safe_dump(config))
        await self.vagus("token", "create", "ada", "--role", "operator", "--out", str(self.token))
        self._vagus = VagusProcess(changed, self._folder / "vagus.log", mode=mode)
        await self._vagus.start()
        await self._vagus.until(lambda e: e.event == "started", since=0, timeout=WITHIN)
        return self._vagus

    def intend(self, **changes: object) -> None:
        intent = {
            "name": "it-heals",
            "subject": "chat",
            "disturbance": "kill",
            "holds": [{"subject": "rag", "signal": "errors", "at_most": "50%"}],
            "detected_within": "30s",
            "recovered_within": "90s",
            "must": ["restart"],
            "blast_cap": "34%",
            **changes,
        }
        INTENTS.write_text(yaml.safe_dump({"intents": [intent]}))

    async def begin(self, *words: str) -> asyncio.subprocess.Process:
        """``vagus WORDS`` in a session of its own, as a terminal would start it."""
        config = SETTINGS.run_dir / "vagus-chaos.yaml"
        token = ("--token-file", str(self.token)) if words[:2] == ("chaos", "run") else ()
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vagus", *words, "-c", str(config), *token),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def vagus(self, *words: str) -> tuple[int | None, str, str]:
        process = await self.begin(*words)
        out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode()

    async def experiment(self) -> dict[str, Any]:
        """Run the one intent, from a steady state on."""
        clock = SystemClock()
        deadline = clock.monotonic() + WITHIN
        while True:
            _, out, err = await self.vagus("chaos", "run", "--json")
            assert out, err
            (result,) = json.loads(out)["experiments"]
            restless = result["verdict"] == "baseline-not-met"
            if not restless or clock.monotonic() > deadline:
                return result  # type: ignore[no-any-return]

    async def until(self, so: Callable[[], bool]) -> None:
        clock = SystemClock()
        deadline = clock.monotonic() + WITHIN
        while not so():
            assert clock.monotonic() < deadline
            await clock.sleep(0.1)

    async def stopped(self) -> list[str]:
        replicas = await self.lab.client.replicas()
        return [name for name, replica in replicas.items() if replica.state == "stopped"]

    async def end(self) -> None:
        if self._vagus is not None:
            await self._vagus.stop()
        await self.vagus("chaos", "abort")
        for name, replica in (await self.lab.client.replicas()).items():
            if replica.state != "running" or replica.fault:
                await self.lab.client.restart(name, f"after {name} {replica.generation}")
        for stale in (*SETTINGS.run_dir.glob("vagus*.db*"), self.token):
            stale.unlink(missing_ok=True)


@pytest_asyncio.fixture(loop_scope="module")
async def stack(tmp_path: Path, lab: Lab) -> AsyncIterator[Stack]:
    made = Stack(tmp_path, lab)
    (SETTINGS.run_dir / "vagus-chaos.yaml").write_bytes(SETTINGS.config_file.read_bytes())
    yield made
    await made.end()


async def test_a_kill_heals_and_the_whole_course_of_it_is_told(stack: Stack) -> None:
    vagus = await stack.start()
    stack.intend()
    result = await stack.experiment()
    assert result["verdict"] == "passed", result
    assert result["diagnosed_rightly"]
    assert result["remedies"][0] == "eject"
    assert None not in result["timeline"].values()
    told = [e.event for e in vagus.events if e.event.startswith("injection.")]
    assert told == ["injection.decided", "injection.ended"]
    assert SHELF.all() == ()


async def test_with_vagus_the_runner_and_the_terminal_killed_the_fault_is_gone(
    stack: Stack,
) -> None:
    vagus = await stack.start(mode="shadow")
    stack.intend(disturbance="stop", detected_within="10m", recovered_within="10m")
    runner = await stack.begin("chaos", "run")
    await stack.until(lambda: any(record.injected for record in SHELF.all()))
    assert len(await stack.stopped()) == 1
    vagus.send(signal.SIGKILL)
    os.killpg(runner.pid, signal.SIGKILL)
    await runner.wait()
    await stack.until(lambda: SHELF.all() == ())
    assert await stack.stopped() == []


async def test_a_second_experiment_waits_for_a_place_in_the_budget(stack: Stack) -> None:
    await stack.start(budget="1 per hour")
    stack.intend()
    assert (await stack.experiment())["verdict"] == "passed"
    refused = await stack.experiment()
    assert (refused["verdict"], refused["injected_at"]) == ("refused", None)
    assert "chaos_budget: 1 of 1 experiments" in refused["because"]


async def test_a_tripped_kill_switch_an_unknown_target_and_a_real_incident_refuse(
    stack: Stack,
) -> None:
    vagus = await stack.start(mode="shadow")
    stack.intend(subject="chat/chat-9")
    code, _, err = await stack.vagus("chaos", "run")
    assert code == 1
    assert "no replica matches chat/chat-9" in err
    stack.intend()
    switch = SETTINGS.run_dir / "vagus.stop"
    switch.write_text("ada: migration\n")
    try:
        code, out, _ = await stack.vagus("chaos", "run", "--json")
    finally:
        switch.unlink()
    (result,) = json.loads(out)["experiments"]
    assert (code, result["injected_at"]) == (1, None)
    assert "migration" in result["because"]
    await stack.lab.client.fault("embed-1", "kill")
    await vagus.until(lambda e: e.event == "incident.opened", since=0, timeout=WITHIN)
    code, out, _ = await stack.vagus("chaos", "run", "--json")
    (result,) = json.loads(out)["experiments"]
    assert (code, result["verdict"]) == (1, "baseline-not-met")
    assert "an incident is open" in result["because"]
