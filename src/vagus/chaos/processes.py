"""Processes of this machine, told apart for certain.

A pid is a number that is given away again. The pid together with the tick at which its process
began names one process for as long as the machine runs, so a signal that was meant for a model
server can't reach whoever has its number now.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

GONE = 0


def began(pid: int) -> int:
    """The tick since boot at which the process began; ``GONE`` if it is not there (any more)."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else GONE


def state(pid: int) -> str:
    """The kernel's letter: R, S, T (stopped) ...; empty if there is no such process."""
    fields = _stat(pid)
    return fields[0] if fields else ""


def is_one(pid: int, tick: int) -> bool:
    """Whether the process of this number is still the one that began at ``tick``."""
    return pid > 0 and tick != GONE and began(pid) == tick


def members(group: int) -> tuple[int, ...]:
    """The living processes of a process group."""
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208
        fields = _stat(int(entry)) if entry.isdigit() else []
        if fields and fields[0] not in "ZX" and int(fields[2]) == group:
            found.append(int(entry))
    return tuple(found)


def send(group: int, tick: int, number: signal.Signals) -> bool:
    """Signal a whole group, if its leader is still the one that began at ``tick``. False: it isn't.

    Raises PermissionError if it is somebody else's.
    """
    if not is_one(group, tick):
        return False
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` (proc(5)) from the state on; empty if there is none."""
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The name before the state is in brackets and may hold blanks and brackets itself.
    return raw.rpartition(b")")[2].decode("ascii").split()
