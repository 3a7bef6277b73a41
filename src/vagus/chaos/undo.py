"""What it takes to mend a fault, on disk before there is a fault.

The loudest complaint about chaos tools is that the fault outlives the experiment: the runner is
killed, the terminal closes, the laptop sleeps, and the one process that knew how to take the fault
out is gone. So a record is written and synced *before* anything is injected. It has a lease, by the
clock that no one can set and that counts on while the machine sleeps; after a reboot the lease is
over, too. Whoever finds a record whose time has come may carry it out: the reaper that was started
for it, or any later call of ``vagus chaos``.

Carrying it out twice, or twice at the same time, is harmless; that is what a fault promises
(:class:`~vagus.chaos.faults.Fault`). So nothing here locks, and nobody can die holding a lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from vagus.chaos import processes
from vagus.errors import ChaosError

Note = Mapping[str, str | int | float | bool | None]
"""What a fault must know to be injected and undone: plain JSON, and never a secret."""

SUFFIX = ".undo.json"
UNDONE = ".undone.json"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Uptime(Protocol):
    """Time that only ever passes."""

    def boot(self) -> str:
        """Which run of the machine this is."""
        ...

    def seconds(self) -> float:
        """Since then; counts on while the machine is suspended."""
        ...


class MachineUptime:
    def boot(self) -> str:
        return _BOOT_ID.read_text(encoding="ascii").strip()

    def seconds(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class UndoRecord:
    """How to take one fault out again, and when at the latest."""

    id: str  # of the injection
    fault: str  # its name among the entry points
    subject: str  # component/replica
    does: str  # what was to be done, in a sentence
    note: Note
    lease: float  # s
    boot: str
    ends_at: float  # s of uptime in that boot
    owner: int  # pid of who injects ...
    owner_began: int  # ... and when that process began, in ticks: numbers are given away again
    injected: bool = False  # False: it may have been, or be on its way

    @classmethod
    def made(
        cls,
        injection: str,
        *,
        fault: str,
        subject: str,
        does: str,
        note: Note,
        lease: float,
        uptime: Uptime,
    ) -> UndoRecord:
        """A record of this process, whose lease begins now."""
        return cls(
            id=injection,
            fault=fault,
            subject=subject,
            does=does,
            note=dict(note),
            lease=lease,
            boot=uptime.boot(),
            ends_at=uptime.seconds() + lease,
            owner=os.getpid(),
            owner_began=processes.began(os.getpid()),
        )

    def left(self, uptime: Uptime) -> float:
        """Seconds until it has to be undone; 0 if that time has come."""
        return max(0.0, self.ends_at - uptime.seconds()) if self.boot == uptime.boot() else 0.0

    def orphaned(self) -> bool:
        """Whether whoever injects is no more."""
        return processes.began(self.owner) != self.owner_began


class Shelf:
    """The records in one folder, which is made when the first is put there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, record: UndoRecord) -> None:
        """Write it, or write it anew; it is on the disk when this returns."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self._path(record.id)
            fresh = path.with_suffix(f".{os.getpid()}.tmp")
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(asdict(record), file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            self._sync()
        except OSError as error:
            raise ChaosError(
                f"the undo record can't be written, so nothing is injected: {error.strerror}",
                where=str(self.folder),
            ) from error

    def mark_injected(self, record: UndoRecord) -> bool:
        """Say that the fault is in. False: the record was carried out already."""
        if self.get(record.id) is None:
            return False
        self.put(replace(record, injected=True))
        return True

    def get(self, injection: str) -> UndoRecord | None:
        """None: it is undone. Raises ChaosError for a record that can't be read."""
        return self._read(self._path(injection))

    def all(self) -> tuple[UndoRecord, ...]:
        """Every fault that is, or may be, in. Raises ChaosError if one can't be read: what can't be
        read can't be undone, and must not be passed over."""
        paths = sorted(self.folder.glob(f"*{SUFFIX}"))
        return tuple(record for path in paths if (record := self._read(path)) is not None)

    def drop(self, injection: str) -> None:
        """It is undone. Doing it again changes nothing. What is left of the record says so until
        Vagus has been told (:meth:`undone`, :meth:`forget`): whoever injected may be no more."""
        with contextlib.suppress(FileNotFoundError):
            self._path(injection).replace(self.folder / f"{injection}{UNDONE}")
            self._sync()

    def undone(self) -> tuple[str, ...]:
        """The injections that are undone, and of whose end Vagus may not know."""
        return tuple(
            sorted(path.name.removesuffix(UNDONE) for path in self.folder.glob(f"*{UNDONE}"))
        )

    def forget(self, injection: str) -> None:
        (self.folder / f"{injection}{UNDONE}").unlink(missing_ok=True)

    def _read(self, path: Path) -> UndoRecord | None:
        try:
            return UndoRecord(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise ChaosError(
                f"this undo record can't be read: {error}",
                where=str(path),
                mend="mend by hand what it names, then delete it",
            ) from error

    def _path(self, injection: str) -> Path:
        return self.folder / f"{injection}{SUFFIX}"

    def _sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
