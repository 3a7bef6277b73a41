"""What replay will need, recorded from the first day: evidence, as it came.

A segment is a file of JSON lines, gzipped, that is written under a temporary name and renamed into
place when it is full or old, so a reader never meets half of one, and a crash loses the open
segment and nothing before it. JSON lines and not Parquet: evidence is a few hundred rows a second
of mixed kinds, and recording must not need a heavy dependency that half of the users don't install;
whoever wants columns converts finished segments, which never change.

Recording is a guest in the loop: a full disk or a missing permission is told and counted, and the
loop goes on without it.
"""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import structlog

from vagus.clock import Clock
from vagus.model import Attempt, Evidence, Probe, Scrape

log = structlog.get_logger()

SEGMENT_S = 60.0  # a segment spans at most this
RETENTION_S = 24 * 3600.0  # older segments are removed


class Recorder:
    """Writes segments into ``folder``; records nothing if that is None."""

    def __init__(self, folder: Path | None, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._rows: list[str] = []
        self._since: float | None = None
        self.counts: Counter[str] = Counter()

    def observe(self, batch: Sequence[Evidence]) -> None:
        if self._folder is None:
            return
        if self._since is None:
            self._since = self._clock.now()
        self._rows += [json.dumps(_row(evidence), separators=(",", ":")) for evidence in batch]

    def tick(self, now: float) -> None:
        """Close the segment if it is time."""
        if self._folder is None or self._since is None or now - self._since < SEGMENT_S:
            return
        self.close()

    def close(self) -> None:
        """Put what was recorded in place."""
        folder, rows, since = self._folder, self._rows, self._since
        self._rows, self._since = [], None
        if folder is None or since is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
            name = f"evidence-{since * 1000:.0f}.jsonl.gz"
            fresh = folder / f".{name}"
            fresh.write_bytes(_packed(rows))
            fresh.replace(folder / name)
            self._expire(folder)
            self.counts["segments"] += 1
        except OSError as error:
            self.counts["segments_lost"] += 1
            log.warning("history.not_written", folder=str(folder), error=str(error))

    def _expire(self, folder: Path) -> None:
        oldest = (self._clock.now() - RETENTION_S) * 1000
        for file in folder.glob("evidence-*.jsonl.gz"):
            began = file.name.removeprefix("evidence-").removesuffix(".jsonl.gz")
            if began.isdigit() and int(began) < oldest:
                file.unlink(missing_ok=True)


def _packed(rows: Sequence[str]) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=3, mtime=0) as packed:
        packed.write(("\n".join(rows) + "\n").encode())
    return out.getvalue()


def _row(evidence: Evidence) -> dict[str, object]:
    """Every field that was filled in, and the kind."""
    kind = {Attempt: "attempt", Scrape: "scrape", Probe: "probe"}[type(evidence)]
    row: dict[str, object] = {"kind": kind, "subject": str(evidence.subject)}
    for name in type(evidence).__slots__:
        value = getattr(evidence, name)
        if name != "subject" and value not in (None, "", 0):
            row[name] = dict(value) if name == "values" else value
    return row
