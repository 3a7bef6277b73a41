"""What replay will need, recorded from the first day: all evidence as it came, and every tick.

Lines of JSON in packed segments, and not Parquet: evidence is a few hundred rows a second of mixed
kinds in the order in which they came, which is what replay needs; a crash may cut a line but not a
table; and recording must not ask for a heavy dependency. Whoever wants columns converts finished
segments, which never change.

Recording is a guest in the loop. It works on a thread of its own behind a bounded queue, so that
neither a slow disk nor packing holds anything up; what can't be written (a full disk, no
permission, a folder that another process records into) is counted and told, and tried again after
a while.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Full, Queue

import numpy as np

from vagus.clock import Clock
from vagus.model import Evidence
from vagus.model.series import Column, Floats, Series
from vagus.telemetry.recording import (
    Batch,
    Reader,
    batch_line,
    column_line,
    is_batch,
    series_line,
)
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.segments import Limits, Segments, read_lines

QUEUE = 4096  # batches and columns that may wait; more are counted as lost
RETRY = 30.0  # s until a disk that failed is tried again
CLOSE_TIMEOUT = 30.0  # s that the end waits for the last segment


class Recorder:
    """Records into ``folder``; nothing, if that is None. ``close`` finishes the last segment."""

    def __init__(
        self,
        folder: Path | None,
        clock: Clock,
        rejections: Rejections,
        limits: Limits | None = None,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._rejections = rejections
        self._limits = limits or Limits()
        self._queue: Queue[Batch | Column | None] = Queue(QUEUE)
        self._thread: threading.Thread | None = None

    def observe(self, batch: Sequence[Evidence]) -> None:
        """Record ``batch``; never blocks."""
        if self._folder is not None:
            self._put(Batch(self._clock.now(), tuple(batch)), len(batch))

    def tick(self, column: Column) -> None:
        """Record ``column``; never blocks."""
        if self._folder is not None:
            self._put(column, 1)

    def close(self) -> None:
        """Write what waits, and put the last segment in place."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            self._queue.put(None, timeout=CLOSE_TIMEOUT)
        except Full:
            return  # a disk that hangs must not keep the process from ending
        thread.join(CLOSE_TIMEOUT)

    def _put(self, record: Batch | Column, amount: int) -> None:
        if self._thread is None:
            assert self._folder is not None
            writer = _Writer(self._folder, self._clock, self._rejections, self._limits)
            self._thread = threading.Thread(
                target=writer.run, args=(self._queue,), name="history", daemon=True
            )
            self._thread.start()
        try:
            self._queue.put_nowait(record)
        except Full:
            reason = "it comes faster than it can be written"
            self._rejections.count(Rejected.HISTORY_LOST, str(self._folder), reason, amount)


class _Writer:
    """The thread's side."""

    def __init__(self, folder: Path, clock: Clock, rejections: Rejections, limits: Limits) -> None:
        self._folder = folder
        self._clock = clock
        self._rejections = rejections
        self._segments = Segments(folder, clock, limits)
        self._series: Series | None = None  # as told in this segment
        self._retry_at = float("-inf")

    def run(self, queue: Queue[Batch | Column | None]) -> None:
        while (record := queue.get()) is not None:
            self._attempt(record, flush=queue.empty())
        try:
            self._segments.close()
        except OSError as error:
            self._lost(error.strerror or type(error).__name__, 0)

    def _attempt(self, record: Batch | Column, *, flush: bool) -> None:
        amount = len(record.evidence) if isinstance(record, Batch) else 1
        if self._clock.monotonic() < self._retry_at:
            self._lost("waiting until the disk is tried again", amount)
            return
        try:
            self._write(record)
            if flush:
                self._segments.flush()
        except OSError as error:
            self._retry_at = self._clock.monotonic() + RETRY
            self._segments.abandon()
            self._lost(error.strerror or type(error).__name__, amount)

    def _write(self, record: Batch | Column) -> None:
        if self._segments.is_open and self._segments.is_full:
            self._segments.finish()
        if not self._segments.is_open:
            self._segments.open()
            self._series = None
        if isinstance(record, Batch):
            self._segments.write(batch_line(record.at, record.evidence))
            return
        if record.series is not self._series:
            self._segments.write(series_line(record.series))
            self._series = record.series
        self._segments.write(column_line(record))

    def _lost(self, why: str, amount: int) -> None:
        self._rejections.count(Rejected.HISTORY_LOST, str(self._folder), why, amount)


def recorded(
    folder: Path,
    since: float = float("-inf"),
    until: float = float("inf"),
    *,
    only_columns: bool = False,
) -> Iterator[Batch | Column]:
    """What was recorded between two times, in the order in which it came.

    Raises MalformedData with the file and line of what is no recording.
    """
    reader = Reader()
    for where, line in read_lines(folder, since, until):
        if only_columns and is_batch(line):
            continue
        record = reader.read(line, where)
        if record is not None and since <= record.at <= until:
            yield record


@dataclass(frozen=True, slots=True)
class Block:
    """Columns that follow each other and have the same series.

    ``values[t, i]`` is of ``series[i]`` at ``at[t]``; NaN where nothing was seen. Shapes (n,) and
    (n, len(series)).
    """

    at: Floats
    series: Series
    values: Floats


def blocks(
    folder: Path,
    since: float = float("-inf"),
    until: float = float("inf"),
    *,
    columns: int = 1024,
) -> Iterator[Block]:
    """The columns recorded between two times, ``columns`` of them at a time at most.

    For those who learn from history; where it comes from, our own ticks or a backfill, is the same
    to them, but not how far apart the columns are. Raises MalformedData as :func:`recorded` does.
    """
    gathered: list[Column] = []
    for record in recorded(folder, since, until, only_columns=True):
        if not isinstance(record, Column):
            continue
        if gathered and (len(gathered) >= columns or not _alike(gathered[0], record)):
            yield _block(gathered)
            gathered = []
        gathered.append(record)
    if gathered:
        yield _block(gathered)


def _alike(one: Column, other: Column) -> bool:
    return one.series is other.series or one.series == other.series


def _block(columns: Sequence[Column]) -> Block:
    return Block(
        np.array([column.at for column in columns]),
        columns[0].series,
        np.array([column.values for column in columns]),
    )
