"""Complete lines of a file that somebody else writes, as they appear.

A log is rotated, truncated, deleted and made anew, and read while a line is being written. So the
reader keeps the beginning of a line until its end comes (up to a limit), and knows by inode and
size when the file is another one; what was written to the old one before that is read to its end.
Polling, and no notification by the kernel: it works on every file system and in every container,
and a look at a file that did not grow costs microseconds.

It starts at the end of a file that is there: what happened before anybody looked is history, and
would be judged as if it were now. A file that appears later is read from its beginning.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

CHUNK = 256 * 1024  # bytes read at once: after a pause, a backlog comes in pieces
LONGEST_LINE = 64 * 1024  # bytes

OnLost = Callable[[str], None]
"""Told why a line, or a part of one, was passed over."""


class Tail:
    def __init__(self, path: Path, on_lost: OnLost) -> None:
        self._path = path
        self._on_lost = on_lost
        self._file: BinaryIO | None = None
        self._inode = 0
        self._rest = b""  # a line without its end
        self._skipping = False  # what comes up to the next end of line is not wanted
        self._is_first = True

    def read(self) -> tuple[list[bytes], bool]:
        """(lines that were completed since the last call, whether there is more to read now).

        Raises OSError when the file can't be read; the next call tries again.
        """
        file = self._file or self._open()
        if file is None:
            return [], False
        data = file.read(CHUNK)
        if not data and self._is_another(file):
            # It was read to its end, and the writer has turned to another by now.
            self.close()
            return [], self._path.exists()
        more = len(data) == CHUNK or (bool(data) and self._is_another(file))
        return list(self._lines(data)), more

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._rest:
            self._on_lost("cut off by the end of its file")
        self._file, self._rest, self._skipping = None, b"", False

    def _lines(self, data: bytes) -> Iterator[bytes]:
        *complete, rest = (self._rest + data).split(b"\n")
        for line in complete:
            if self._skipping:
                self._skipping = False
            elif len(line) > LONGEST_LINE:
                self._on_lost(f"longer than {LONGEST_LINE} bytes")
            elif line:
                yield line
        if len(rest) > LONGEST_LINE:
            if not self._skipping:
                self._on_lost(f"longer than {LONGEST_LINE} bytes")
            self._skipping, rest = True, b""
        self._rest = rest

    def _open(self) -> BinaryIO | None:
        was_first, self._is_first = self._is_first, False
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return None
        self._inode = os.fstat(file.fileno()).st_ino
        if was_first and file.seek(0, os.SEEK_END) > 0:
            # Maybe in the middle of a line: then what comes first is only the rest of it.
            file.seek(-1, os.SEEK_END)
            self._skipping = file.read(1) != b"\n"
        self._file = file
        return file

    def _is_another(self, file: BinaryIO) -> bool:
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False  # rotated away and not made anew yet
        return now.st_ino != self._inode or now.st_size < file.tell()
