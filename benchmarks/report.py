"""What a benchmark hands back, and the three ways in which it is read.

One :class:`Result` becomes a table for people, JSON for comparison over time, and a section of
``docs/benchmarks.md``. Nothing is formatted before: a row holds numbers, and ``None`` where there
is none, which a table shows as ``never`` or ``-`` as the benchmark says.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

Cell = str | float | int | None
Row = Mapping[str, Cell]


@dataclass(frozen=True)
class Options:
    """How a benchmark was asked for."""

    quick: bool = False
    data: Path | None = None
    """Folder for what a benchmark needs or keeps between runs; its own business otherwise."""
    runs: int | None = None
    """How often a full run repeats each case; None: as often as the benchmark itself says."""
    only: tuple[str, ...] = ()
    """Measure only what contains one of these words; for development."""
    say: Callable[[str], None] = print
    """Called with a line whenever there is progress to tell."""

    def wants(self, label: str) -> bool:
        return not self.only or any(word in label for word in self.only)


@dataclass(frozen=True)
class Provenance:
    """Where, when and of what something is measured; taken before, since files change meanwhile."""

    date: str
    machine: str
    commit: str

    @classmethod
    def now(cls) -> Provenance:
        date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return cls(date, machine(), commit())


@dataclass(frozen=True)
class Result:
    """What was measured. Rows share the keys in ``columns`` (key -> heading); a row may hold more
    than is shown."""

    benchmark: str
    columns: Mapping[str, str]
    rows: Sequence[Row]
    figures: Mapping[str, float]
    notes: Sequence[str] = ()
    nothing: Mapping[str, str] = field(default_factory=dict)
    """How ``None`` is shown in a column; ``-`` if it isn't named here."""
    broken: str = ""
    """The promise that was measured and doesn't hold: the result is kept and printed like any, and
    then the benchmark fails."""

    def __post_init__(self) -> None:
        for name in self.figures:
            if not name.isidentifier() or name != name.lower():
                raise ValueError(f"figure {name!r} is not snake_case")


@dataclass(frozen=True)
class Report:
    """A result with its provenance."""

    result: Result
    of: Provenance
    quick: bool

    def to_json(self) -> str:
        """The document that is compared over time."""
        document = {
            "benchmark": self.result.benchmark,
            "date": self.of.date,
            "machine": self.of.machine,
            "commit": self.of.commit,
            "quick": self.quick,
            "rows": [dict(row) for row in self.result.rows],
            "figures": dict(self.result.figures),
            "notes": list(self.result.notes),
            "columns": dict(self.result.columns),
            "nothing": dict(self.result.nothing),
        }
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Raises ValueError or KeyError for what :meth:`to_json` did not write."""
        read = json.loads(text)
        result = Result(
            read["benchmark"],
            read["columns"],
            read["rows"],
            read["figures"],
            read["notes"],
            read["nothing"],
        )
        of = Provenance(read["date"], read["machine"], read["commit"])
        return cls(result, of, read["quick"])


def machine() -> str:
    """Processor, cores, memory, system and Python, in one line."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.release()}"
    python = f"Python {platform.python_version()}"
    return f"{cores} cores of {_processor()}, {memory:.0f} GB, {system}, {python}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit() -> str:
    """The commit that was measured, with ``+`` if the files differ from it; ``unknown`` outside of
    a repository."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--short") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def shown(value: Cell, nothing: str = "-") -> str:
    """A cell as people read it: three digits are enough of a measurement."""
    if value is None:
        return nothing
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value


def _cells(result: Result, row: Row) -> list[str]:
    return [shown(row.get(key), result.nothing.get(key, "-")) for key in result.columns]


def _is_number(result: Result, key: str) -> bool:
    return not any(isinstance(row.get(key), str) for row in result.rows)


def print_table(report: Report, console: Console) -> None:
    """The table, then the notes."""
    result = report.result
    title = f"{result.benchmark}{' (quick, for a look)' if report.quick else ''}"
    table = Table(title=f"{title}: {report.of.machine}", title_justify="left")
    for key, heading in result.columns.items():
        table.add_column(heading, justify="right" if _is_number(result, key) else "left")
    for row in result.rows:
        table.add_row(*_cells(result, row))
    console.print(table)
    for note in result.notes:
        console.print(f"- {note}", markup=False, highlight=False)


def markdown(reports: Iterable[tuple[Report, str]]) -> str:
    """``docs/benchmarks.md``: a section for each report, with what it measures in words."""
    parts = [
        "# Benchmarks\n\n"
        "Generated by `python -m benchmarks docs` from the last full runs (`make bench`); do not "
        "edit by hand.\n"
    ]
    for report, words in reports:
        result, of = report.result, report.of
        keys = list(result.columns)
        rule = ["---:" if _is_number(result, key) else "---" for key in keys]
        lines = [list(result.columns.values()), rule, *(_cells(result, row) for row in result.rows)]
        parts.append(
            f"## {result.benchmark}\n\n{words}\n\n"
            f"Measured {of.date[:10]} at commit `{of.commit}` on {of.machine}.\n\n"
            + "".join(f"| {' | '.join(line)} |\n" for line in lines)
            + "".join(f"\n- {note}" for note in result.notes)
            + ("\n" if result.notes else "")
        )
    return "\n".join(parts)
