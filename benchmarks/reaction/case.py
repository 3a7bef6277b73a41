"""One case: one fault met by one system, once."""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.reaction.client import Answer, Load, Normal
from benchmarks.reaction.rig import CHAT_PATH, FAULTY, Rig, standing
from benchmarks.reaction.systems import System
from vagus.clock import Clock
from vagus.lab.settings import url

RATE = 50.0
_STILL_SENDING_S = 1.0
"""A healthy replica of three gets a request every 60 ms. One that got its last less than this long
before the end is still in traffic."""


@dataclass(frozen=True)
class Length:
    """Requests before the fault and after it."""

    before: int
    after: int
    runs: int


FULL = Length(before=500, after=3_000, runs=3)
QUICK = Length(before=75, after=275, runs=1)


@dataclass(frozen=True)
class Case:
    """What callers met from the fault on."""

    system: str
    fault: str
    run: int
    requests: int
    bad: int
    slow: int
    safe_s: float | None
    """From the fault until the last request was sent to the faulty replica; None: still sent."""
    flaws: dict[str, int]
    normal_ms: float
    """Median total time before the fault."""
    late_ms: float
    """How late the 99th percentile of requests left: what the machine adds by itself."""


async def measure(
    system: System,
    fault: str,
    run: int,
    length: Length,
    clock: Clock,
    data: Path | None = None,
) -> Case:
    """Stand up everything afresh, load it, break one replica, and look at what callers got.

    What the processes said is kept in a folder of ``data``, if there is one.
    """
    logs = None if data is None else data / "logs" / f"{system.key}-{fault}-{run}"
    async with standing(system.protection, clock, logs) as rig:
        await system.start(rig)
        try:
            load = Load(url(rig.edge.port) + CHAT_PATH, RATE, rig.session, clock)
            await load.send(length.before)
            before, broken = clock.monotonic(), time.time()
            await rig.inject(fault)
            await load.send(length.after)
            end = time.time()
            await load.finish()
        finally:
            await system.stop()
        answers = load.answers
        normal = Normal.of([answer for answer in answers if answer.ended < before])
        since = [answer for answer in answers if answer.ended >= before]
        flaws = Counter(answer.flaw for answer in since if answer.flaw)
        return Case(
            system=system.key,
            fault=fault,
            run=run,
            requests=len(since),
            bad=flaws.total(),
            slow=sum(not answer.flaw and normal.exceeded_by(answer) for answer in since),
            safe_s=_safe(rig, broken, end),
            flaws=dict(flaws),
            normal_ms=normal.total * 1e3,
            late_ms=_late(answers) * 1e3,
        )


def _safe(rig: Rig, broken: float, end: float) -> float | None:
    last = max((at for at in rig.sent_to(FAULTY) if at <= end), default=broken)
    return None if last > end - _STILL_SENDING_S else max(0.0, last - broken)


def _late(answers: Sequence[Answer]) -> float:
    return statistics.quantiles((answer.sent - answer.intended for answer in answers), n=100)[98]


class Kept:
    """Cases on disk, so that a run that was interrupted goes on where it was.

    Only those of the same commit and length count: a case is never mixed with one of other code.
    """

    def __init__(self, folder: Path | None, commit: str, length: Length) -> None:
        self._file = None if folder is None else folder / "reaction-cases.jsonl"
        self._of = {"commit": commit, "before": length.before, "after": length.after}
        self._cases: dict[tuple[str, str, int], Case] = {}
        if self._file is not None and self._file.exists():
            for line in self._file.read_text(encoding="utf-8").splitlines():
                read = json.loads(line)
                if {key: read.pop(key) for key in self._of} == self._of:
                    case = Case(**read)
                    self._cases[case.system, case.fault, case.run] = case

    def get(self, system: str, fault: str, run: int) -> Case | None:
        return self._cases.get((system, fault, run))

    def add(self, case: Case) -> None:
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({**self._of, **asdict(case)}) + "\n")
