"""Faults that the kernel brings about: a replica's processes are killed, or stopped.

They go to the whole process group, whose leader the supervisor names, and only while that leader is
the very process that was looked at: a number may have gone to another program since.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from vagus.chaos import processes
from vagus.chaos.faults import Parameters, Target, only
from vagus.chaos.supervisor import NoSuchReplica, Supervisor
from vagus.chaos.undo import Note
from vagus.errors import ChaosError

SETTLED_WITHIN, POLL = 5.0, 0.01  # s
NEEDS = "a supervisor on this machine that tells the pid of the replica, and the right to signal it"


def refusal(target: Target) -> str:
    """Why no signal can be sent to the processes of ``target``, or empty."""
    if not target.supervisor:
        return "no supervisor keeps it, so nobody could start it again"
    pid = target.number("pid")
    if processes.began(pid) == processes.GONE:
        return "it does not run"
    if not processes.members(pid):
        return "its supervisor gives no process group of its own"
    try:
        processes.send(pid, processes.began(pid), signal.Signals(signal.SIGCONT))
    except PermissionError:
        return f"its process {pid} is another user's"
    return ""


def who(target: Target) -> dict[str, str | int | float | bool | None]:
    """The part of a note that names the target's processes for certain."""
    pid = target.number("pid")
    return {
        "component": target.component,
        "replica": target.replica,
        "supervisor": target.supervisor,
        "token_file": target.token_file,
        "generation": target.number("generation"),
        "pid": pid,
        "began": processes.began(pid),
    }


@dataclass(frozen=True)
class Kill:
    """SIGKILL. Mended is it once the replica runs again, whoever started it."""

    name: str = "kill"
    title: str = "SIGKILL of a replica"
    needs: str = NEEDS
    causes: frozenset[str] = frozenset({"replica-gone"})

    def refusal(self, target: Target) -> str:
        return refusal(target)

    def prepare(self, target: Target, parameters: Parameters) -> Note:
        only(parameters)
        return who(target)

    def does(self, note: Note) -> str:
        return f"SIGKILL to process group {note['pid']} of {note['component']}/{note['replica']}"

    def inject(self, note: Note) -> None:
        send(note, signal.SIGKILL)
        await_(lambda: self.took(note), f"{note['replica']} lives on after SIGKILL")

    def took(self, note: Note) -> bool:
        return not processes.is_one(_number(note, "pid"), _number(note, "began"))

    def undo(self, note: Note) -> None:
        start_again(note)


@dataclass(frozen=True)
class Stop:
    """SIGSTOP: it is there, its port takes connections, and nothing comes of it."""

    name: str = "stop"
    title: str = "SIGSTOP of a replica"
    needs: str = NEEDS
    causes: frozenset[str] = frozenset({"replica-hung"})

    def refusal(self, target: Target) -> str:
        return refusal(target)

    def prepare(self, target: Target, parameters: Parameters) -> Note:
        only(parameters)
        return who(target)

    def does(self, note: Note) -> str:
        return f"SIGSTOP to process group {note['pid']} of {note['component']}/{note['replica']}"

    def inject(self, note: Note) -> None:
        send(note, signal.SIGSTOP)
        await_(lambda: self.took(note), f"{note['replica']} runs on after SIGSTOP")

    def took(self, note: Note) -> bool:
        pid = _number(note, "pid")
        return processes.is_one(pid, _number(note, "began")) and processes.state(pid) == "T"

    def undo(self, note: Note) -> None:
        """Gone processes need nothing: whoever restarted the replica has mended it."""
        processes.send(_number(note, "pid"), _number(note, "began"), signal.SIGCONT)


def send(note: Note, number: signal.Signals) -> None:
    """Raises ChaosError unless the processes of ``note`` were there to get the signal."""
    try:
        sent = processes.send(_number(note, "pid"), _number(note, "began"), number)
    except PermissionError as error:
        raise ChaosError(f"process {note['pid']} is another user's") from error
    if not sent:
        raise ChaosError(f"process {note['pid']} of {note['replica']} is gone already")


def await_(done: Callable[[], bool], otherwise: str) -> None:
    """Wait for the kernel: what is not so within some seconds raises ChaosError."""
    deadline = time.monotonic() + SETTLED_WITHIN
    while not done():
        if time.monotonic() > deadline:
            raise ChaosError(otherwise)
        time.sleep(POLL)


def start_again(note: Note) -> None:
    """Start the replica if it lies where the fault left it. One that somebody has started since, or
    taken away for good, is left alone. The order's token is the note's own, so that it is carried
    out once however often this runs."""
    supervisor = Supervisor(str(note["supervisor"]), str(note["token_file"]))
    try:
        row = supervisor.replica(str(note["replica"]))
    except NoSuchReplica:
        return
    if row.get("generation") != note["generation"] or row.get("state") != "exited":
        return
    token = f"undo:{note['replica']}:{note['generation']}:{note['pid']}:{note['began']}"
    supervisor.restart(str(note["replica"]), token)


def _number(note: Note, key: str) -> int:
    value = note[key]
    assert isinstance(value, int), f"a note of a process has {key}"
    return value


kill = Kill()
stop = Stop()
