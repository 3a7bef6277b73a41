"""What the kernel says of processes, in ``/proc``.

Signals can't tell a zombie from a living process, and zombies last as long as whoever should
collect them likes: under some container inits for seconds, under none for ever. They hold no port
and no memory, so here they count as ended.
"""

from __future__ import annotations

import os


def state(pid: int) -> str:
    """The kernel's letter for the state of a process; empty if there is none."""
    fields = _stat(pid)
    return fields[0] if fields else ""


def resident_bytes() -> dict[int, int]:
    """Resident memory of every process group on the machine that has a living process."""
    page = os.sysconf("SC_PAGE_SIZE")
    groups: dict[int, int] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208
        fields = _stat(entry) if entry.isdigit() else []
        if fields and fields[0] not in "ZX":
            group = int(fields[2])
            groups[group] = groups.get(group, 0) + int(fields[21]) * page
    return groups


def _stat(pid: int | str) -> list[str]:
    """The fields of ``/proc/PID/stat`` from the state on; empty if there is no such process."""
    try:
        # Not by Path: every listing of the replicas reads this once for each process there is.
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123
            raw = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The name before the state is in brackets and may hold blanks and brackets itself.
    return raw.rpartition(b")")[2].decode("ascii").split()
