"""The lab as one thing: up, down, and how it stands.

::

    async with Lab(LabSettings()) as lab:
        await lab.client.fault("chat-1", "kill")

A lab belongs to the process that brought it up and ends with it, whatever becomes of that process:
the supervisor's standard input is a pipe that only we hold. ``Lab(settings, keep=True)`` leaves it
running instead, and a later ``Lab(settings).down()``, from anywhere, ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

from vagus.clock import Clock, SystemClock
from vagus.errors import LabError
from vagus.lab import rundir, setup
from vagus.lab.client import SupervisorClient
from vagus.lab.ports import check_ports
from vagus.lab.progress import Progress, silent
from vagus.lab.settings import LabSettings
from vagus.lab.status import ReplicaStatus

_POLL_S = 0.1
_DOWN_WITHIN_S = 20.0


@dataclass(frozen=True)
class LabStatus:
    """How a lab stands; ``phase`` is ``down``, ``starting``, ``up`` or ``failed``."""

    phase: str
    pid: int | None
    config: str
    replicas: dict[str, ReplicaStatus]

    def to_json(self) -> dict[str, object]:
        return asdict(self)


class Lab:
    """One lab, by its settings. An asynchronous context: up at its start, down at its end."""

    def __init__(
        self, settings: LabSettings, *, keep: bool = False, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self.client = SupervisorClient.of(settings)
        self._keep = keep
        self._clock = clock or SystemClock()
        self._supervisor: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.down()

    async def up(self, progress: Progress = silent) -> None:
        """Set up what is missing, start everything, and return when all of it is healthy."""
        check_ports(self.settings)
        await asyncio.to_thread(setup.prepare, self.settings, progress)
        rundir.claim(self.settings)
        self.settings.state_file.unlink(missing_ok=True)
        try:
            self._supervisor = await self._start_supervisor()
            await self._until_up(self._supervisor, progress)
        except BaseException:
            await self.down()
            raise

    async def _start_supervisor(self) -> asyncio.subprocess.Process:
        log = self.settings.logs_dir / "supervisor.log"
        with log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *_supervisor(self.settings, owned=not self._keep),
                stdin=asyncio.subprocess.DEVNULL if self._keep else asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def _until_up(self, supervisor: asyncio.subprocess.Process, progress: Progress) -> None:
        told = ""
        while True:
            if supervisor.returncode is not None:
                raise self._why_it_ended(supervisor.returncode)
            # It takes a moment until the supervisor listens.
            with contextlib.suppress(LabError):
                health = await self.client.health()
                if health.note != told:
                    progress("start", health.done, health.note)
                    told = health.note
                if health.phase == "up":
                    return
            await self._clock.sleep(_POLL_S)

    def _why_it_ended(self, code: int) -> LabError:
        if (error := rundir.read_note(self.settings).error) is not None:
            return error
        log = self.settings.logs_dir / "supervisor.log"
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        said = lines[-1] if lines else "no message"
        return LabError(f"the lab's supervisor ended ({code}): {said}", where=str(log))

    async def down(self) -> None:
        """End the lab and return when nothing of it is left; a lab that is down stays so."""
        if self._supervisor is not None:
            await self._down_own(self._supervisor)
        elif (pid := rundir.read_note(self.settings).pid) is not None:
            await self.client.shutdown()
            await self._until_gone(pid)
        await self.client.close()

    async def _down_own(self, supervisor: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):
            supervisor.terminate()
        try:
            await asyncio.wait_for(supervisor.wait(), _DOWN_WITHIN_S)
        except TimeoutError:
            # Its watchdog ends what it leaves behind.
            supervisor.kill()
            await supervisor.wait()
        if supervisor.stdin is not None:
            supervisor.stdin.close()
        self._supervisor = None

    async def _until_gone(self, pid: int) -> None:
        deadline = self._clock.monotonic() + _DOWN_WITHIN_S
        while rundir.read_note(self.settings).pid == pid:
            if self._clock.monotonic() > deadline:
                raise LabError(f"the supervisor (pid {pid}) does not end", mend=f"kill -9 {pid}")
            await self._clock.sleep(_POLL_S)

    async def status(self) -> LabStatus:
        """How the lab stands, whoever brought it up."""
        note, config = rundir.read_note(self.settings), str(self.settings.config_file)
        if note.pid is None:
            return LabStatus(note.phase, None, config, {})
        health = await self.client.health()
        return LabStatus(health.phase, note.pid, config, await self.client.replicas())


def _supervisor(settings: LabSettings, *, owned: bool) -> list[str]:
    """The supervisor's command line; an owned one ends when its standard input does.

    Its module is named, not imported: it needs every package of the extra, and who asks for the
    status of a lab, or hears which package is missing, needs none.
    """
    module = [sys.executable, "-m", "vagus.lab.supervisor"]
    return [*module, "--settings", str(settings.settings_file), *(["--owned"] if owned else [])]
