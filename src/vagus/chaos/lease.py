"""One fault, held for as long as an experiment wants it, and never longer than its lease.

The order is the whole point: the record on disk, then a reaper that says it is ready, then the
fault. Letting go is closing the reaper's pipe, whether we do it or the kernel does after our death.
Should the reaper itself have been killed, we do its work.
"""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
from types import TracebackType
from typing import Self

from vagus.chaos import reaper
from vagus.chaos.faults import Fault
from vagus.chaos.undo import MachineUptime, Shelf, UndoRecord, Uptime
from vagus.errors import ChaosError

SWEEP_PATIENCE = 15.0  # s for one record; who calls is waiting
READY_WITHIN = 20.0  # s; it takes a fraction of one on an idle machine


class Leased:
    """A context: the fault is in once :meth:`inject` returned, and out when the context ends."""

    def __init__(self, fault: Fault, record: UndoRecord, shelf: Shelf) -> None:
        self._fault = fault
        self._record = record
        self._shelf = shelf
        self._uptime: Uptime = MachineUptime()
        self._reaper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._shelf.put(self._record)
        try:
            self._reaper = self._start_reaper()
        except BaseException:
            self._shelf.drop(self._record.id)  # nothing was injected
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.release()

    @property
    def held(self) -> bool:
        """False: its lease is over, or somebody took it out."""
        return self._shelf.get(self._record.id) is not None

    def inject(self) -> None:
        """Raises ChaosError if it could not be done; what was done of it is undone at the end.

        Whoever was suspended on the way here may come too late. What is injected after the record
        was carried out has nobody to mend it but us, so that is done at once.
        """
        if not self.held:
            raise ChaosError("the lease was over before the fault was in")
        self._fault.inject(self._record.note)
        if not self._shelf.mark_injected(self._record):
            self._fault.undo(self._record.note)
            raise ChaosError("the lease was over before the fault was in; it is out again")

    def release(self) -> None:
        """Return once the fault is out. Raises ChaosError if it is not: the record is still there,
        and every later call of ``vagus chaos`` tries again."""
        process, self._reaper = self._reaper, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if self.held and not reaper.undo(self._shelf, self._record.id, self._uptime):
            raise ChaosError(
                f"the fault {self._record.fault} on {self._record.subject} could not be undone",
                where=str(self._shelf.folder),
                mend="vagus chaos abort",
            )

    def _start_reaper(self) -> subprocess.Popen[bytes]:
        with (self._shelf.folder / "reaper.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", reaper.__name__, str(self._shelf.folder), self._record.id],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], READY_WITHIN)
        if not ready or process.stdout.readline().strip() != reaper.READY.encode():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.stdin.close()
            process.stdout.close()
            process.wait()
            raise ChaosError(
                "the reaper did not start, so nothing is injected",
                where=str(self._shelf.folder / "reaper.log"),
            )
        return process


def sweep(shelf: Shelf, uptime: Uptime, *, everything: bool = False) -> tuple[UndoRecord, ...]:
    """Undo what is left of experiments whose lease is over or whose process is gone, or with
    ``everything`` whatever there is; what was undone. Raises ChaosError for what can't be."""
    found = []
    for record in shelf.all():
        if everything or record.left(uptime) <= 0 or record.orphaned():
            if not reaper.undo(shelf, record.id, uptime, patience=SWEEP_PATIENCE):
                raise ChaosError(
                    f"the fault {record.fault} on {record.subject} can't be undone",
                    where=str(shelf.folder / "reaper.log"),
                )
            found.append(record)
    return tuple(found)
