"""The gateway's access log, read as it grows.

A log is somebody else's file: it is rotated, truncated, deleted and made anew, and read while a
line is being written. So the reader keeps the rest of a line until its end comes, notices by inode
and size when the file is another one, and counts what it can't read. It starts at the end of a file
that is there: what happened before Vagus looked is history, and would be judged as if it were now.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from vagus.clock import Clock
from vagus.model import Attempt
from vagus.ports import Emit
from vagus.telemetry.rejections import Rejected, Rejections

POLL = 0.05  # s: half of what Envoy keeps a row back
LONGEST_LINE = 64 * 1024  # bytes; a longer one is no row of ours
CHUNK = 1 << 20  # bytes read at once: after a pause, a backlog comes in pieces

Decode = Callable[[Mapping[str, object]], Attempt | None]
"""A row as an attempt; None for a row that speaks of no replica. Raises ValueError, TypeError or
KeyError for a row that can't be understood."""


class AccessLogSource:
    """Implements :class:`~vagus.ports.Source` over a file of JSON lines."""

    name = "access-log"

    def __init__(self, path: Path, decode: Decode, clock: Clock, rejections: Rejections) -> None:
        self._path = path
        self._decode = decode
        self._clock = clock
        self._rejections = rejections
        self._tail = Tail(path)

    async def run(self, emit: Emit) -> None:
        while True:
            try:
                batch = [*self._read()]
            except OSError as error:
                self._rejections.count(Rejected.LOG_UNREADABLE, str(self._path), str(error))
                batch = []
            if batch:
                emit(batch)
            await self._clock.sleep(POLL)

    def _read(self) -> Iterator[Attempt]:
        for line in self._tail.lines():
            if len(line) > LONGEST_LINE:
                self._reject("is longer than any row")
                continue
            try:
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise TypeError("not an object")
                attempt = self._decode(row)
            except (ValueError, TypeError, KeyError) as error:
                self._reject(f"{type(error).__name__}: {error}")
                continue
            if attempt is not None:
                yield attempt

    def _reject(self, why: str) -> None:
        self._rejections.count(Rejected.LOG_LINE, str(self._path), why)


class Tail:
    """Complete lines of a file as they appear, across rotation and truncation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._inode = 0
        self._rest = b""
        self._first = True

    def lines(self) -> Iterator[bytes]:
        """What has come since the last call, at most ``CHUNK`` bytes of it. Raises OSError."""
        if self._file is None and not self._open():
            return
        assert self._file is not None
        data = self._file.read(CHUNK)
        if not data and self._is_another():
            # Whatever was written to the old file before it was rotated has been read by now.
            self._close()
            if not self._open():
                return
            data = self._file.read(CHUNK)
        if data:
            *complete, self._rest = (self._rest + data).split(b"\n")
            if len(self._rest) > 2 * LONGEST_LINE:
                complete.append(self._rest)  # told as too long, once, and not kept
                self._rest = b""
            yield from (line for line in complete if line.strip())

    def _open(self) -> bool:
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            self._first = False  # when it comes, all of it is new
            return False
        self._inode = os.fstat(file.fileno()).st_ino
        if self._first:
            file.seek(0, os.SEEK_END)
        self._first = False
        self._file = file
        return True

    def _is_another(self) -> bool:
        assert self._file is not None
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False  # rotated away and not made anew yet
        return now.st_ino != self._inode or now.st_size < self._file.tell()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""
