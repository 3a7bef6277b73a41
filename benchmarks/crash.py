"""kill -9 and SIGSTOP at every transition of the healing workflow, on the state that is asked for.

The matrix is made from the workflow itself: an undisturbed run of each scenario is watched, and
every point that it passes is a cell: before each step, after its effect but before DBOS recorded
it, after that, and before and after every call that a step makes to the state or to the world. In a
cell a process is killed there and another one goes on; or it is stopped, and continued. There is no
peer to compare with: the only good figure is 0.

A full run takes about half an hour on two cores. ``--quick`` tries what is also tried in CI.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.report import Options, Result, Row
from vagus.testing.crashing import SCENARIOS, Cell, Ending, How, Nursery, representative

SQLITE = "sqlite:///{folder}/vagus.db"
AT_ONCE = 2
MEMORY = Path("/dev/shm")  # noqa: S108  a SIGKILL loses nothing that was written, wherever it was
HOWS: tuple[How, ...] = ("kill", "stop")


def run(options: Options) -> Result:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        nurseries = [Nursery(Path(folder) / str(number), SQLITE) for number in range(AT_ONCE)]
        try:
            cells = _cells(nurseries[0], options)
            options.say(f"{len(cells)} cells, {os.cpu_count()} cores")
            endings = _try_all(nurseries, cells, options)
        finally:
            for nursery in nurseries:
                nursery.close()
    return _result(endings)


def _cells(nursery: Nursery, options: Options) -> Sequence[Cell]:
    cells = []
    for name in SCENARIOS:
        if not options.wants(name):
            continue
        points = nursery.points(name)
        chosen = representative(points) if options.quick else points
        cells += [Cell(name, point, "kill") for point in chosen]
        # Where a process stands still matters where it had begun something.
        cells += [Cell(name, p, "stop") for p in representative(points) if p.name == "Steps.act"]
        if options.quick:
            break
    return cells


def _try_all(
    nurseries: Sequence[Nursery], cells: Sequence[Cell], options: Options
) -> Sequence[tuple[Cell, Ending]]:
    def work(number: int) -> list[tuple[Cell, Ending]]:
        tried = []
        for cell in cells[number :: len(nurseries)]:
            tried.append((cell, nurseries[number].try_cell(cell)))
            if number == 0 and len(tried) % 20 == 0:
                options.say(f"{len(tried) * len(nurseries)} of {len(cells)}")
        return tried

    with ThreadPoolExecutor(len(nurseries)) as threads:
        return [one for part in threads.map(work, range(len(nurseries))) for one in part]


def _result(endings: Sequence[tuple[Cell, Ending]]) -> Result:
    """A row for each scenario and step, in which cells that went wrong are counted by what."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    notes = []
    for cell, ending in endings:
        row = counts.setdefault((cell.scenario, cell.how, cell.point.name), Counter())
        lost = ending.lost(SCENARIOS[cell.scenario]) and ending.reached
        row.update(
            cells=1,
            reached=int(ending.reached),
            incidents_lost=int(lost),
            actions_repeated=ending.repeated,
            ledger_breaks=len(ending.breaks),
        )
        if lost or ending.repeated or ending.breaks or not ending.reached:
            why = ending.error.strip().splitlines()[-1:] or [f"ended {ending.state}"]
            notes.append(f"{cell}: {why[0]}, {ending.repeated} repeated")
    names = ("cells", "reached", "incidents_lost", "actions_repeated", "ledger_breaks")
    rows: list[Row] = [
        {"scenario": scenario, "how": how, "point": point, **{n: row[n] for n in names}}
        for (scenario, how, point), row in counts.items()
    ]
    total: Counter[str] = sum(counts.values(), Counter())
    columns = {"scenario": "scenario", "how": "how", "point": "at"}
    return Result(
        "crash",
        columns | {name: name.replace("_", " ") for name in names},
        rows,
        {name: float(total[name]) for name in ("transitions", *names)}
        | {"transitions": float(sum(cell.point.is_transition for cell, _ in endings))},
        notes,
    )
