"""Whether every guard of the gate is needed: the mutation run.

Each guard in turn is replaced by one that allows everything, and all cases are judged again: one of
its own for each guard, and those of the named incidents, replayed over real tables. A mutant is
killed if some case comes out otherwise. There is no peer; the only good figure is all of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.report import Options, Result, Row
from vagus.policy.gate import GUARDS, name_of
from vagus.testing.guard_cases import ALONE, killers
from vagus.testing.incidents import cases_of

INCIDENTS = Path(__file__).parent.parent / "tests" / "incidents"
COLUMNS = {"guard": "guard", "cases": "cases that miss it", "incidents": "named incidents"}


def run(options: Options) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        incidents = cases_of(INCIDENTS, Path(folder))
    named = {case.name: incident for incident, held in incidents.items() for case in held}
    every = [*ALONE, *(case for held in incidents.values() for case in held)]
    rows: list[Row] = []
    for guard in map(name_of, GUARDS):
        if options.wants(guard):
            noticed = killers(guard, every)
            told = sorted({named[case] for case in noticed if case in named})
            rows.append({"guard": guard, "cases": len(noticed), "incidents": ", ".join(told)})
    figures = {
        "guards": float(len(rows)),
        "mutants_killed": float(sum(row["cases"] != 0 for row in rows)),
        "incidents": float(len(incidents)),
    }
    return Result("guards", COLUMNS, rows, figures)
