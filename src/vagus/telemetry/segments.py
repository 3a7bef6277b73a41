"""Immutable files of recorded lines, in a folder that one writer owns.

The open segment grows under a name of its own; when it is old or large enough it is packed, synced
and renamed into place, and never changes again. So a reader needs no lock and never meets half a
segment, and a crash loses no line that was flushed: what a dead writer left open is finished by the
next one, without the half line at its end. Retention removes whole files, the oldest first.

A lock on the folder keeps a second process from finishing what the first still writes.
"""

from __future__ import annotations

import fcntl
import gzip
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vagus.clock import Clock

_OPEN, _DONE = ".jsonl.part", ".jsonl.gz"
_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Limits:
    """When a segment is finished, and when one is removed."""

    segment_seconds: float = 60.0
    segment_bytes: int = 64 << 20  # not packed
    keep_seconds: float = 7 * 86400.0
    keep_bytes: int = 1 << 30  # packed, all of them


class Segments:
    """The writer's side. Every method may raise OSError; after :meth:`abandon` it can go on."""

    def __init__(self, folder: Path, clock: Clock, limits: Limits) -> None:
        self._folder = folder
        self._clock = clock
        self._limits = limits
        self._lock: BinaryIO | None = None
        self._file: BinaryIO | None = None
        self._began = 0.0

    @property
    def is_open(self) -> bool:
        return self._file is not None

    def open(self) -> None:
        """Begin a segment; the first time, own the folder and finish what was left open."""
        if self._lock is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock = self._own()
            for left in self._folder.glob(f"*{_OPEN}"):
                self._finish(left)
        self._file = self._fresh_name().open("xb")
        self._began = self._clock.monotonic()

    def write(self, line: bytes) -> None:
        assert self._file is not None
        self._file.write(line + b"\n")

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    @property
    def is_full(self) -> bool:
        assert self._file is not None
        age = self._clock.monotonic() - self._began
        too_large = self._file.tell() >= self._limits.segment_bytes
        return too_large or age >= self._limits.segment_seconds

    def finish(self) -> None:
        """Put the open segment in place, and remove what is too old or too much."""
        if self._file is None:
            return
        file, self._file = self._file, None
        file.close()
        self._finish(Path(file.name))
        self._expire()

    def abandon(self) -> None:
        """Let go of the open segment as it is: it can't be written. It is finished later."""
        file, self._file = self._file, None
        lock, self._lock = self._lock, None
        for handle in (file, lock):
            if handle is not None:
                try:
                    handle.close()
                except OSError:
                    continue  # what it could not write is what we are here for

    def close(self) -> None:
        try:
            self.finish()
        finally:
            self.abandon()

    def _own(self) -> BinaryIO:
        lock = (self._folder / _LOCK).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise
        return lock

    def _fresh_name(self) -> Path:
        """Named for when it began, so that names sort by time."""
        began = round(self._clock.now() * 1000)
        while any((self._folder / f"{began:015d}{end}").exists() for end in (_OPEN, _DONE)):
            began += 1
        return self._folder / f"{began:015d}{_OPEN}"

    def _finish(self, left: Path) -> None:
        done = _done(left)
        unfinished = left.with_name(f".{done.name}")
        with left.open("rb") as lines, unfinished.open("wb") as file:
            # A crash may have left half a line.
            _pack(file, (line for line in lines if line.endswith(b"\n")))
        unfinished.replace(done)
        left.unlink()

    def _expire(self) -> None:
        kept, oldest = 0, (self._clock.now() - self._limits.keep_seconds) * 1000
        for file in sorted(self._folder.glob(f"*{_DONE}"), reverse=True):
            kept += file.stat().st_size
            if _began(file) < oldest or kept > self._limits.keep_bytes:
                file.unlink()


def is_segment(folder: Path, began: float) -> bool:
    """Whether there is a finished segment that begins then."""
    return _named(folder, began).exists()


def first_began(folder: Path) -> float | None:
    """When the first segment of ``folder`` begins; None if there is none."""
    files = [*folder.glob(f"[0-9]*{_DONE}"), *folder.glob(f"[0-9]*{_OPEN}")]
    return min(map(_began, files)) / 1000 if files else None


def write_segment(folder: Path, began: float, lines: Iterable[bytes]) -> None:
    """A whole segment at once, for what is known already; it is there entirely or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    done = _named(folder, began)
    unfinished = done.with_name(f".{done.name}")
    with unfinished.open("wb") as file:
        _pack(file, (line + b"\n" for line in lines))
    unfinished.replace(done)


def _named(folder: Path, began: float) -> Path:
    return folder / f"{round(began * 1000):015d}{_DONE}"


def _pack(file: BinaryIO, lines: Iterable[bytes]) -> None:
    with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=4, mtime=0) as packed:
        for line in lines:
            packed.write(line)
    file.flush()
    os.fsync(file.fileno())


def read_lines(folder: Path, since: float, until: float) -> Iterator[tuple[str, bytes]]:
    """(file:line, line) of every segment that may hold something between the two times, in order.

    The open segment is read as far as it was flushed. The writer goes on meanwhile: a segment that
    is put in place while it is looked for is read once, and one that expires is passed over.
    """
    # Not those that are still being packed: their names begin with a dot.
    found = {_began(file): file for end in (_OPEN, _DONE) for file in folder.glob(f"[0-9]*{end}")}
    files = sorted(found.items())
    for number, (began, file) in enumerate(files):
        is_before = number + 1 < len(files) and files[number + 1][0] < since * 1000
        if is_before or began > until * 1000:
            continue
        try:
            lines = _opened(file)
        except FileNotFoundError:
            continue
        with lines:
            for place, line in enumerate(lines, 1):
                if line.endswith(b"\n"):
                    yield f"{file}:{place}", line


def _opened(file: Path) -> BinaryIO | gzip.GzipFile:
    """Raises FileNotFoundError for what has expired since it was seen."""
    if file.name.endswith(_OPEN):
        try:
            return file.open("rb")
        except FileNotFoundError:
            file = _done(file)
    return gzip.open(file)


def _done(left: Path) -> Path:
    return left.with_name(left.name.removesuffix(_OPEN) + _DONE)


def _began(file: Path) -> int:
    name = file.name.partition(".")[0]
    return int(name) if name.isdigit() else 0
