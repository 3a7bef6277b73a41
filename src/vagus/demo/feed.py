"""``vagus run`` as another process, and its event lines as they come."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vagus.errors import LabError

_END_WITHIN = 10.0  # s for a clean end; the state survives a harder one


@dataclass(frozen=True)
class Event:
    """One line of ``vagus run --json``: an entry of the ledger."""

    at: float
    workflow: str  # incident:epoch, or "loop"
    event: str
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def incident(self) -> str:
        return self.workflow.rpartition(":")[0]

    def text(self, key: str) -> str:
        value = self.facts.get(key, "")
        return "" if value is None else str(value)


class VagusProcess:
    """Runs Vagus on a configuration and keeps every event that it tells."""

    def __init__(
        self, config: Path, log: Path, *, mode: str, environment: Mapping[str, str] | None = None
    ) -> None:
        """``environment``: beside our own."""
        self._environment = {**os.environ, **(environment or {})}
        self._argv = [
            sys.executable, "-m", "vagus", "run", "-c", str(config), "--mode", mode, "--json",
        ]  # fmt: skip
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self.events: list[Event] = []
        self.listeners: list[Callable[[Event], None]] = []

    async def start(self) -> None:
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._environment,
            )
        self._reader = asyncio.create_task(self._read(self._process))

    @property
    def pid(self) -> int:
        assert self._process is not None, "start it first"
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None, "start it first"
        self._process.send_signal(number)

    async def stop(self) -> None:
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _END_WITHIN)
        except TimeoutError:
            process.kill()
            await process.wait()
        if self._reader is not None:
            await self._reader

    async def until(self, wanted: Callable[[Event], bool], *, since: int, timeout: float) -> Event:
        """The first event after number ``since`` that is ``wanted``, past ones included.

        Raises TimeoutError, and LabError if Vagus ends meanwhile.
        """
        async with asyncio.timeout(timeout):
            seen = since
            while True:
                async with self._news:
                    while seen == len(self.events):
                        if self._reader is None or self._reader.done():
                            raise self._ended()
                        await self._news.wait()
                for event in self.events[seen:]:
                    seen += 1
                    if wanted(event):
                        return event

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            entry = json.loads(line)
            event = Event(entry["at"], entry["workflow"], entry["event"], entry["facts"])
            async with self._news:
                self.events.append(event)
                self._news.notify_all()
            for tell in self.listeners:
                tell(event)
        async with self._news:
            self._news.notify_all()

    def _ended(self) -> LabError:
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return LabError(
            f"vagus run ended: {said[-1] if said else 'no message'}", where=str(self._log)
        )
