"""The ledger's head, kept elsewhere.

A chain proves that nothing in its middle was changed. Against who computes all of it anew, or cuts
off its end, it proves nothing: that takes a head which was written down where they can't write. So
the head is appended to a file now and then, and told in the log at the same time; either may be
what somebody ships to another machine. Vagus only ever adds to the file and never reads it.

What can't be anchored is said in the log and tried again: healing doesn't wait for it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from vagus.clock import Clock
from vagus.errors import StateError
from vagus.state.ledger import Head, Ledger

log = structlog.get_logger()

EVERY = 60.0  # s between two heads, if there was something new


class Anchor:
    """Appends the head of ``ledger`` to ``path`` (None: the log alone)."""

    def __init__(self, ledger: Ledger, path: Path | None, clock: Clock) -> None:
        self._ledger = ledger
        self._path = path
        self._clock = clock
        self._last: Head | None = None
        self._next = clock.monotonic()

    def due(self) -> bool:
        """Whether it is time to :meth:`write`; each time is told once."""
        now = self._clock.monotonic()
        if now < self._next:
            return False
        self._next = now + EVERY
        return True

    def write(self) -> None:
        """Anchor the head as it is now, unless that was done. May wait for a disk: call it from a
        thread of its own."""
        try:
            head = self._ledger.head()
            if head == self._last or head.seq == 0:
                return
            if self._path is not None:
                _append(self._path, f"{head} {self._time()}\n")
        except (OSError, StateError) as error:
            log.warning("ledger.not_anchored", path=str(self._path), error=str(error))
            return
        self._last = head
        log.info("ledger.head", head=str(head))

    def _time(self) -> str:
        at = datetime.fromtimestamp(self._clock.now(), UTC)
        return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _append(path: Path, line: str) -> None:
    """In one write to the end of the file, and on the disk when this returns."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        os.write(file, line.encode())
        os.fsync(file)
    finally:
        os.close(file)


def read_anchors(path: Path) -> Sequence[Head]:
    """The heads in a file that an :class:`Anchor` wrote, oldest first.

    A last line without its end was being written when the power went, and is left out. Raises
    StateError for any other line that is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"the anchor can't be read: {error}", where=str(path)) from error
    heads = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        try:
            heads.append(Head.parse(line.partition(" ")[0]))
        except ValueError as error:
            raise StateError(
                f"is not a head of a ledger: {error}",
                where=f"{path}:{number}",
                mend="the file was changed by something else: use a copy of it",
            ) from error
    return heads
