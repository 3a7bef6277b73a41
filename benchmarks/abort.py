"""Experiments that are torn down at a random moment, and what of their faults is left.

Each run is the real command, `vagus chaos run`, on the real lab, watched by a real Vagus. At a
moment that a seed chooses (some time after its first instruction, after its record is on disk, or
after its fault is in) it gets Ctrl-C, SIGTERM, or SIGKILL to all that its terminal started. Then
there is a minute for the fault to go; its lease would last ten. What counts is looked for on the
lab itself and not in the records: replicas that are stopped, gone, slowed or of another version,
and control groups. There is no peer: the only good figure is 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from benchmarks.report import Options, Result, Row
from vagus.chaos.undo import Shelf
from vagus.chaos.watching import unrest
from vagus.clock import SystemClock
from vagus.demo.feed import VagusProcess
from vagus.errors import LabError
from vagus.lab.declaration import API_PORT
from vagus.lab.settings import LabSettings, url
from vagus.lab.stack import Lab

RUNS, QUICK_RUNS, SEED = 50, 4, 20_261_130
OFFSET = 22_000
MILESTONES = ("started", "record on disk", "fault in", "fault in")
LATEST = 3.0  # s after one of them
REACHED_WITHIN = 60.0  # s
GONE_WITHIN = 60.0  # s
CALM_WITHIN = 600.0  # s between two runs
POLL = 0.1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
FAULTS: Sequence[object] = (
    "kill",
    "stop",
    "slow",
    "cut",
    "http-500",
    "garbage-json",
    "delay",
    "scrape-lying",
    "cpu-quota",
)
GROUPS = "vagus-chaos-*"


@dataclass(frozen=True)
class Torn:
    """One run that was torn down."""

    number: signal.Signals
    fault: str
    phase: str  # in which it was caught
    left: tuple[str, ...]


def run(options: Options) -> Result:
    count = options.runs or (QUICK_RUNS if options.quick else RUNS)
    with tempfile.TemporaryDirectory() as folder:
        torn = asyncio.run(_tear(Path(folder), count, options))
    return _result(torn)


async def _tear(folder: Path, count: int, options: Options) -> list[Torn]:
    settings, seed = LabSettings(offset=OFFSET), random.Random(SEED)
    # Started in the background, a shell would have us ignore Ctrl-C, and what we start with us.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    async with contextlib.AsyncExitStack() as stack:
        lab = await stack.enter_async_context(Lab(settings))
        for stale in settings.run_dir.glob("vagus*.db*"):
            stale.unlink()
        bench = Bench(lab, folder)
        stack.push_async_callback(bench.close)
        await bench.start()
        torn = []
        for number in range(count):
            await bench.until_calm()
            after, how = seed.uniform(0.0, LATEST), SIGNALS[number % len(SIGNALS)]
            milestone, fault = seed.choice(MILESTONES), str(seed.choice(FAULTS))
            torn.append(await bench.tear(fault, milestone, after, how))
            last = torn[-1]
            options.say(
                f"{number + 1} of {count}: {last.fault}, {last.number.name} {after:.1f} s after "
                f"{milestone} "
                f"({last.phase}): {', '.join(last.left) or 'nothing is left'}"
            )
        return torn


class Bench:
    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._clock = SystemClock()
        self._folder = folder
        self._config = lab.settings.run_dir / "vagus-abort.yaml"
        self._shelf = Shelf(folder / "chaos" / "undo")
        self._status_url = url(API_PORT + lab.settings.offset) + "/status"
        self._vagus = VagusProcess(self._config, folder / "vagus.log", mode="auto")

    async def start(self) -> None:
        config = yaml.safe_load(self._lab.settings.config_file.read_text(encoding="utf-8"))
        config["chaos"] = {
            "budget": "100000 per hour",
            "intents": str(self._folder / "intents.yaml"),
            "folder": str(self._folder / "chaos"),
        }
        self._config.write_text(yaml.safe_dump(config), encoding="utf-8")
        words = ("token", "create", "bench", "--role", "operator", "--out", str(self._token))
        made = await self._begin(*words)
        if await made.wait() != 0:
            raise LabError("no token could be made for the benchmark")
        await self._vagus.start()
        await self._vagus.until(lambda event: event.event == "started", since=0, timeout=60.0)

    async def close(self) -> None:
        await self._vagus.stop()
        self._config.unlink(missing_ok=True)

    async def until_calm(self) -> None:
        """Until Vagus has healed whatever the last run left it to find, and says so."""
        deadline = self._clock.monotonic() + CALM_WITHIN
        while await self._left() or unrest(await self._status()):
            if self._clock.monotonic() > deadline:
                raise LabError(f"the lab did not become calm within {CALM_WITHIN:.0f} s")
            await self._clock.sleep(POLL)

    async def tear(self, fault: str, milestone: str, after: float, how: signal.Signals) -> Torn:
        self._intend(fault)
        runner = await self._begin("chaos", "run", "--token-file", str(self._token))
        await self._until(milestone, runner)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(runner.wait(), after)
        records = self._shelf.all()
        phase = "fault in" if any(record.injected for record in records) else "about to inject"
        if not records:
            phase = "before" if runner.returncode is None else "over"
        with contextlib.suppress(ProcessLookupError):
            # What ends a terminal ends all that was started from it.
            os.killpg(runner.pid, how)
        deadline = self._clock.monotonic() + GONE_WITHIN
        while (runner.returncode is None or self._shelf.all()) and (
            self._clock.monotonic() < deadline
        ):
            await self._clock.sleep(POLL)
        with contextlib.suppress(ProcessLookupError):
            runner.kill()
        await runner.wait()
        while (left := await self._left()) and self._clock.monotonic() < deadline:
            await self._clock.sleep(POLL)
        return Torn(how, fault, phase, left)

    async def _until(self, milestone: str, runner: asyncio.subprocess.Process) -> None:
        """Return once it is reached, or can't be any more."""
        deadline = self._clock.monotonic() + REACHED_WITHIN
        while runner.returncode is None and self._clock.monotonic() < deadline:
            records = self._shelf.all()
            injected = any(record.injected for record in records)
            if milestone == "started" or injected or (records and milestone != "fault in"):
                return
            await self._clock.sleep(POLL / 10)

    async def _left(self) -> tuple[str, ...]:
        """What is not as it was, looked for on the lab."""
        found = []
        for name, replica in (await self._lab.client.replicas()).items():
            if replica.fault:
                found.append(f"{name} misbehaves: {replica.fault}")
            if replica.state in ("stopped", "exited"):
                found.append(f"{name} is {replica.state}")
        for root in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")):
            found += [f"control group {group}" for group in root.glob(GROUPS)]
        return tuple(found)

    async def _status(self) -> Mapping[str, Any]:
        async with aiohttp.ClientSession() as session, session.get(self._status_url) as answer:
            status: Mapping[str, Any] = await answer.json()
            return status

    def _intend(self, fault: str) -> None:
        intent = {
            "name": "torn",
            "subject": "chat",
            "disturbance": fault,
            "detected_within": "5m",
            "recovered_within": "5m",
        }
        text = yaml.safe_dump({"intents": [intent]})
        (self._folder / "intents.yaml").write_text(text, encoding="utf-8")

    async def _begin(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vagus", *words, "-c", str(self._config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def _token(self) -> Path:
        return self._folder / "token"


def _result(torn: Sequence[Torn]) -> Result:
    phases = ("before", "about to inject", "fault in", "over")
    rows: list[Row] = []
    for number in SIGNALS:
        these = [one for one in torn if one.number is number]
        caught = Counter(one.phase for one in these)
        rows.append(
            {
                "signal": number.name,
                "runs": len(these),
                **{phase.replace(" ", "_"): caught[phase] for phase in phases},
                "faults_left": sum(len(one.left) for one in these),
            }
        )
    return Result(
        "abort",
        {"signal": "ended by", "runs": "runs"}
        | {phase.replace(" ", "_"): f"caught: {phase}" for phase in phases}
        | {"faults_left": "faults left"},
        rows,
        {
            "runs": float(len(torn)),
            "runs_with_a_fault_in": float(sum(one.phase == "fault in" for one in torn)),
            "faults_left": float(sum(len(one.left) for one in torn)),
        },
        [f"left by {one.fault}: {what}" for one in torn for what in one.left],
    )
