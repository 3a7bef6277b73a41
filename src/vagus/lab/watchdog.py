"""Ends the lab's processes when their supervisor can't.

A supervisor that is killed with SIGKILL runs no handler and closes nothing by itself, and a
parent-death signal is no way out: the kernel clears it for a process that changes its user, as
Postgres must when it is started by root. What the kernel does do, always, is close the dead
process's file descriptors. So this process, in a session of its own, reads a pipe whose only
writer is the supervisor, keeps the list of process groups that the supervisor says are alive, and
when the pipe ends, ends them.

The list is never behind. A child writes its own entry between ``fork`` and ``exec``
(:mod:`vagus.lab.processes`), and holds the pipe open until then: the end of the pipe can't be read
before the last entry.

The pipe is this process's standard input. A line ``+PGID SIGNAL`` enters a group and the signal
that asks it politely, ``-PGID`` crosses it out. Only the standard library is imported, and little
of it: the lab waits for this process to start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable

from vagus.lab import proc

GRACE_S = 1.5
"""How long a group may take to end itself before it is killed."""
_PATIENCE_S = 10.0
_POLL_S = 0.05


def groups_left(lines: Iterable[str]) -> dict[int, int]:
    """Read entries until the pipe ends; returns group -> polite signal of those not crossed out."""
    groups: dict[int, int] = {}
    for line in lines:
        words = line[1:].split()
        if line.startswith("+") and len(words) == 2:
            groups[int(words[0])] = int(words[1])
        elif line.startswith("-") and len(words) == 1:
            groups.pop(int(words[0]), None)
    return groups


def end(groups: dict[int, int]) -> None:
    """Ask every group to end, and kill what is left of them after the grace time."""
    for group, polite in groups.items():
        _signal(group, polite)
        _signal(group, signal.SIGCONT)
    _wait(groups, GRACE_S)
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for group in groups:
            _signal(group, signal.SIGKILL)
        if _wait(groups, _POLL_S * 4):
            return


def _wait(groups: Iterable[int], seconds: float) -> bool:
    """Whether all groups ended within the time."""
    deadline = time.monotonic() + seconds
    while not proc.resident_bytes().keys().isdisjoint(groups):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def shield() -> None:
    """Ignore what a terminal or a service manager sends to everybody, the supervisor included.

    To be called between ``fork`` and ``exec``: the disposition stays, and so there is no moment in
    which a Ctrl-C could end the watchdog before the one it watches.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    end(groups_left(sys.stdin))
