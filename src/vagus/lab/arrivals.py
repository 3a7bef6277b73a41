"""When requests come: as they came to a real LLM service, at whatever rate is asked for.

People do not queue up politely. In an hour of the Azure LLM inference trace (2023, conversation;
Patel et al., "Splitwise", ISCA 2024; CC-BY-4.0) 19,366 requests arrive 5.5 a second, and over any
few seconds they look like a Poisson process (coefficient of variation 1.09). Over minutes they
don't: the counts in windows of 55 mean gaps vary four times as much as Poisson's, in windows of 330
gaps sixteen times, because the rate itself wanders. A renewal process can have the first property
but never the second; a Poisson process that switches between two rates (MMPP) has both.

Its four numbers below were fitted to that hour by maximum likelihood over the gaps. All are in
units of the mean gap, so they fit any rate: at 2 requests a second a surge lasts three minutes. The
fit is modest: windows of 55 and 330 gaps vary 3.2 and 11 times as much as Poisson's.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vagus.errors import LabError


@dataclass(frozen=True)
class Bursts:
    """A two-state Markov-modulated Poisson process of mean rate one."""

    surge_rate: float
    lull_rate: float
    surge_ends: float
    """How often a surge turns into a lull, per mean gap; its inverse is a surge's mean length."""
    lull_ends: float

    @property
    def surge_share(self) -> float:
        """The part of all time that is surge."""
        return self.lull_ends / (self.lull_ends + self.surge_ends)


AZURE_2023_CONVERSATION = Bursts(
    surge_rate=1.283, lull_rate=0.8395, surge_ends=0.002946, lull_ends=0.00167
)


def bursty(rate: float, seed: int, process: Bursts = AZURE_2023_CONVERSATION) -> Iterator[float]:
    """Endless arrival times, in seconds from the start, ``rate`` a second in the long run."""
    chance = random.Random(seed)
    surging = chance.random() < process.surge_share
    now, turns_at = 0.0, 0.0
    while True:
        turns_at = now + chance.expovariate(process.surge_ends if surging else process.lull_ends)
        while True:
            now += chance.expovariate(process.surge_rate if surging else process.lull_rate)
            if now >= turns_at:
                # The next arrival belongs to the other rate: draw it again from here.
                now, surging = turns_at, not surging
                break
            yield now / rate


def replayed(path: Path, rate: float) -> Iterator[float]:
    """Arrival times of a trace file, scaled to ``rate`` a second; after its end it begins again.

    Reads Azure's CSV (a column ``TIMESTAMP``) and Mooncake's JSONL (``timestamp`` in milliseconds).
    Raises :class:`~vagus.errors.LabError` that names the line.
    """
    times = _read(path)
    length = times[-1] - times[0]
    if len(times) < 2 or length <= 0:
        raise LabError("a trace needs two moments at least", where=str(path))
    # The gap between its last and its first request isn't in the file; it gets the mean one.
    period = length * len(times) / (len(times) - 1)
    scale = len(times) / period / rate
    return _repeated([moment - times[0] for moment in times], period, scale)


def _repeated(moments: Sequence[float], period: float, scale: float) -> Iterator[float]:
    begin = 0.0
    while True:
        for moment in moments:
            yield (begin + moment) * scale
        begin += period


def _read(path: Path) -> list[float]:
    csv_like = path.suffix.lower() == ".csv"
    read: Callable[[Iterator[str]], Iterator[float]] = _azure if csv_like else _mooncake
    number = 0

    def counted(lines: Iterator[str]) -> Iterator[str]:
        nonlocal number
        for line in lines:
            number += 1
            yield line

    try:
        with path.open(encoding="utf-8", newline="") as file:
            return sorted(read(counted(file))) or [0.0]
    except OSError as error:
        raise LabError(f"no trace: {error.strerror}", where=str(path)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(
            f"not a line of a trace: {error}",
            where=f"{path}:{number}",
            mend="CSV with a column TIMESTAMP, or JSONL with timestamp in milliseconds",
        ) from error


def _azure(lines: Iterator[str]) -> Iterator[float]:
    for row in csv.DictReader(lines):
        # Seven digits of a second, of which Python reads six.
        moment = datetime.fromisoformat(row["TIMESTAMP"][:26])
        yield moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _mooncake(lines: Iterator[str]) -> Iterator[float]:
    for line in lines:
        if line.strip():
            yield float(json.loads(line)["timestamp"]) / 1000
