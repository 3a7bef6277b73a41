"""Process groups: how the lab's processes are started, watched and ended.

Each replica is one process group in a session of its own, so that a signal reaches all of it and a
Ctrl-C in the terminal reaches none of it. Its exit is learned from a pidfd on the event loop: no
thread, no SIGCHLD handler, no polling. Because the supervisor has no threads, a child may safely
run a line of Python between ``fork`` and ``exec``, and uses it to enter itself in the watchdog's
list; from its first instruction on, there is no moment at which a group is alive and unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vagus.clock import Clock
from vagus.errors import LabError
from vagus.lab import proc, watchdog

GRACE_S = 1.0
_POLL_S = 0.01
_GONE_WITHIN_S = 5.0


@dataclass(frozen=True)
class Command:
    """What to run, and how to ask it to end."""

    argv: tuple[str, ...]
    user: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    polite: signal.Signals = signal.SIGTERM
    grace_s: float = GRACE_S


class Group:
    """A started process group; its id is the pid of its leader."""

    def __init__(self, command: Command, popen: subprocess.Popen[bytes], started_at: float) -> None:
        self.command = command
        self.started_at = started_at
        self.exited = asyncio.Event()
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal; ``None`` while the leader runs."""
        return self._popen.returncode

    def state(self) -> str:
        """``running``, ``stopped`` (by a signal) or ``exited``, as the kernel has it now."""
        self.reap()
        if self.exited.is_set():
            return "exited"
        return {"T": "stopped", "t": "stopped", "Z": "exited", "": "exited"}.get(
            proc.state(self.pid), "running"
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the group, if there are any."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def reap(self) -> None:
        """Collect the leader's exit code, if it has ended."""
        if self._popen.poll() is not None:
            self.exited.set()


class Processes:
    """All groups of one supervisor, and the watchdog that outlives it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._groups: set[Group] = set()
        self._closing = False
        read_end, self._entries = os.pipe()
        try:
            self._watchdog = Group(
                Command(("watchdog",)),
                subprocess.Popen(
                    [sys.executable, "-m", "vagus.lab.watchdog"],
                    stdin=read_end,
                    start_new_session=True,
                    preexec_fn=watchdog.shield,  # noqa: PLW1509
                ),
                clock.now(),
            )
        finally:
            os.close(read_end)
        self._watch(self._watchdog)

    @property
    def watchdog_gone(self) -> asyncio.Event:
        """Set when nobody would clean up after us any more."""
        return self._watchdog.exited

    def start(self, command: Command, log: Path) -> Group:
        """Start a group whose output is appended to ``log``."""
        if self._closing:
            raise LabError("the lab is stopping", mend="start it again")
        entry, polite = self._entries, command.polite

        def enter_watchdog() -> None:
            os.write(entry, b"+%d %d\n" % (os.getpid(), polite))

        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            try:
                popen = subprocess.Popen(  # noqa: S603
                    command.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **command.env},
                    start_new_session=True,
                    user=command.user,
                    group=pwd.getpwnam(command.user).pw_gid if command.user else None,
                    extra_groups=[] if command.user else None,
                    preexec_fn=enter_watchdog,  # noqa: PLW1509
                )
            except (OSError, KeyError, subprocess.SubprocessError) as error:
                raise LabError(f"{command.argv[0]} can't be started: {error}") from error
        group = Group(command, popen, self._clock.now())
        self._groups.add(group)
        self._watch(group)
        return group

    def _watch(self, group: Group) -> None:
        descriptor = os.pidfd_open(group.pid)
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            group.reap()

        loop.add_reader(descriptor, ended)

    async def end(self, group: Group) -> None:
        """End a group: politely, unless it is stopped and can't hear; then for certain."""
        if group.state() == "running":
            group.signal(group.command.polite)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(group.exited.wait(), group.command.grace_s)
        group.signal(signal.SIGKILL)
        await group.exited.wait()
        await self._emptied(group)
        self._groups.discard(group)
        with contextlib.suppress(BrokenPipeError):
            os.write(self._entries, b"-%d\n" % group.pid)

    async def _emptied(self, group: Group) -> None:
        """Wait for the leader's children too: they may hold the port that a restart needs."""
        deadline = self._clock.monotonic() + _GONE_WITHIN_S
        while group.pid in proc.resident_bytes():
            if self._clock.monotonic() > deadline:
                raise LabError(f"process group {group.pid} does not end after SIGKILL")
            await self._clock.sleep(_POLL_S)

    async def end_all(self) -> None:
        """End every group at once, start none any more, then let the watchdog go."""
        self._closing = True
        await asyncio.gather(*(self.end(group) for group in list(self._groups)))
        os.close(self._entries)
        await self._watchdog.exited.wait()
