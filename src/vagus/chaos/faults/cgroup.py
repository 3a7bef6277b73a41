"""Less CPU for a replica: its processes are moved into a control group with a quota.

Version 1 (a hierarchy for each controller) and version 2 (one for all) differ in the names of three
files, and in that version 2 must have handed the controller down to where the group is made. What
this machine can't do is said as a refusal. Undo moves everybody back to where they came from and
removes the group; processes that were started since were never in it.

Source: Documentation/admin-guide/cgroup-v1/, cgroup-v2.rst and scheduler/sched-bwc.rst of Linux.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from vagus.chaos import processes
from vagus.chaos.faults import Parameters, Target, only, signals
from vagus.chaos.undo import Note
from vagus.errors import ChaosError

ROOT = Path("/sys/fs/cgroup")
PERIOD = 100_000  # µs, the kernel's own default
LEAST = 1_000  # µs: the kernel takes no smaller quota
EMPTY_WITHIN, POLL = 5.0, 0.02  # s


@dataclass(frozen=True)
class CpuQuota:
    """``share`` of one core for all processes of the replica together."""

    name: str = "cpu-quota"
    title: str = "a replica with a fraction of a core"
    needs: str = "cgroups (v1 or v2) that may be written, and its processes on this machine"
    causes: frozenset[str] = frozenset({"replica-slow", "replica-hung"})
    root: Path = ROOT

    def refusal(self, target: Target) -> str:
        return signals.refusal(target) or self._unable()

    def _unable(self) -> str:
        if self._is_v2():
            handed = _words(self.root / "cgroup.subtree_control")
            if "cpu" not in handed:
                return "the cpu controller of cgroup v2 is not handed down here"
        elif not (self.root / "cpu" / "cpu.cfs_quota_us").exists():
            return "there is no cpu controller with quotas (CONFIG_CFS_BANDWIDTH)"
        base = self._base()
        return "" if os.access(base, os.W_OK | os.X_OK) else f"{base} may not be written"

    def prepare(self, target: Target, parameters: Parameters) -> Note:
        share = only(parameters, share=0.1)["share"]
        quota = int(share * PERIOD)
        if quota < LEAST:
            raise ChaosError(f"a share of {share:g} is too small", mend="0.01 at the least")
        note = signals.who(target)
        pid = target.number("pid")
        group = self._base() / f"vagus-chaos-{pid}-{note['began']}"
        return {**note, "quota": quota, "group": str(group), "was": str(self._group_of(pid))}

    def does(self, note: Note) -> str:
        share = float(note["quota"] or 0) / PERIOD
        return (
            f"{share:.0%} of a core for process group {note['pid']} of "
            f"{note['component']}/{note['replica']}, by {note['group']}"
        )

    def inject(self, note: Note) -> None:
        group = Path(str(note["group"]))
        pid, began = int(note["pid"] or 0), int(note["began"] or 0)
        if not processes.is_one(pid, began):
            raise ChaosError(f"process {pid} of {note['replica']} is gone already")
        try:
            group.mkdir(exist_ok=True)
            if self._is_v2():
                (group / "cpu.max").write_text(f"{note['quota']} {PERIOD}\n")
            else:
                (group / "cpu.cfs_period_us").write_text(f"{PERIOD}\n")
                (group / "cpu.cfs_quota_us").write_text(f"{note['quota']}\n")
            # Those that are started meanwhile are their parents' children, and come along.
            for member in processes.members(pid):
                _move(member, group)
        except OSError as error:
            raise ChaosError(f"no quota could be set: {error}", where=str(group)) from error

    def took(self, note: Note) -> bool:
        inside = _words(Path(str(note["group"])) / "cgroup.procs")
        return {str(pid) for pid in processes.members(int(note["pid"] or 0))} <= set(inside)

    def undo(self, note: Note) -> None:
        group, was = Path(str(note["group"])), Path(str(note["was"]))
        deadline = time.monotonic() + EMPTY_WITHIN
        while group.is_dir():
            for member in _words(group / "cgroup.procs"):
                _move(int(member), was if was.is_dir() else self._base())
            # A process that is ending keeps its group for a moment.
            with contextlib.suppress(OSError):
                group.rmdir()
            if time.monotonic() > deadline:
                raise ChaosError("the group can't be removed", where=str(group))
            time.sleep(POLL)

    def _is_v2(self) -> bool:
        return (self.root / "cgroup.controllers").exists()

    def _base(self) -> Path:
        return self.root if self._is_v2() else self.root / "cpu"

    def _group_of(self, pid: int) -> Path:
        """Where the process is now, by ``/proc/PID/cgroup`` (cgroups(7))."""
        for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if "cpu" in controllers.split(",") or (self._is_v2() and not controllers):
                return self._base() / path.lstrip("/")
        return self._base()


def _move(pid: int, group: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        (group / "cgroup.procs").write_text(f"{pid}\n")


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []


cpu_quota = CpuQuota()
