"""The reaper: ``python -m vagus.chaos.reaper FOLDER INJECTION``.

One for each injection, started before it, in a session of its own: no signal of a terminal and no
death of its parent reaches it. Its standard input is a pipe whose only writer is whoever injects.
When that pipe ends, because the experiment is over or because the kernel closed it behind a dead
process, or when the lease ends first, the reaper carries out the undo record, again and again until
it works, takes the record away and ends.

The normal end of an experiment takes this way, too. There is no other code that mends, so what must
work on the worst day is exercised on every good one.

A dead process may have left an order on its way that arrives after the first undo. So a record that
does not say that the fault was surely in is undone twice, with a pause between.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from pathlib import Path

from vagus.chaos.faults import load
from vagus.chaos.undo import MachineUptime, Shelf, Uptime
from vagus.errors import VagusError

READY = "ready"
SETTLE = 1.0  # s in which an order that was under way arrives
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # s between two tries
GIVE_UP_AFTER = 600.0  # s; the record stays, for the next call of `vagus chaos`


def watch(shelf: Shelf, injection: str, uptime: Uptime) -> bool:
    """Wait for the end of standard input or of the lease, and undo. False: it could not be."""
    record = shelf.get(injection)
    if record is None:
        return True
    load(record.fault)  # if it can't be loaded, it must not be injected
    with contextlib.suppress(BrokenPipeError):  # whoever waits for it may be dead already
        os.write(sys.stdout.fileno(), f"{READY}\n".encode())
    _wait_for_end(sys.stdin.fileno(), record.left(uptime))
    return undo(shelf, injection, uptime)


def undo(shelf: Shelf, injection: str, uptime: Uptime, *, patience: float = GIVE_UP_AFTER) -> bool:
    """Carry out the record until that worked. False: after ``patience`` s it still had not, and the
    record is still there."""
    pause, deadline = FIRST_PAUSE, uptime.seconds() + patience
    while (record := shelf.get(injection)) is not None:
        try:
            fault = load(record.fault)
            fault.undo(record.note)
            if not record.injected:
                time.sleep(SETTLE)
                fault.undo(record.note)
        except VagusError as error:
            print(f"{injection}: {error}", file=sys.stderr, flush=True)  # noqa: T201
            if uptime.seconds() > deadline:
                return False
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            shelf.drop(injection)
    return True


def _wait_for_end(descriptor: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        # Nobody has anything to say here: only the end counts.
        if select.select([descriptor], [], [], left)[0] and not os.read(descriptor, 1024):
            return


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    folder, injection = sys.argv[1:]
    return 0 if watch(Shelf(Path(folder)), injection, MachineUptime()) else 1


if __name__ == "__main__":
    sys.exit(main())
