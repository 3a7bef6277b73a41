"""``python -m benchmarks``: run a benchmark and say what came out."""

from __future__ import annotations

import argparse
import importlib
import inspect
import signal
import sys
from pathlib import Path
from typing import Protocol, cast

from rich.console import Console

from benchmarks import NAMES
from benchmarks.report import Options, Provenance, Report, Result, markdown, print_table
from vagus.errors import VagusError

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs" / "benchmarks.md"


class Benchmark(Protocol):
    """What a module named in :data:`benchmarks.NAMES` has."""

    def run(self, options: Options) -> Result: ...


def _benchmark(name: str) -> Benchmark:
    return cast(Benchmark, importlib.import_module(f"benchmarks.{name}"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=[*NAMES, "all", "docs"])
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder a benchmark may keep")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here too")
    parser.add_argument("--quick", action="store_true", help="within a minute, for a look")
    parser.add_argument("--runs", type=int, metavar="N", help="of each case, where it is repeated")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="cases with it")
    arguments = parser.parse_args()
    if arguments.json and arguments.name in ("all", "docs"):
        parser.error("--json needs the name of one benchmark")
    return arguments


def _run(name: str, arguments: argparse.Namespace, console: Console) -> Report:
    options = Options(
        quick=arguments.quick,
        data=arguments.data,
        runs=arguments.runs,
        only=tuple(arguments.only),
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    of = Provenance.now()
    measured = Report(_benchmark(name).run(options), of, options.quick)
    print_table(measured, console)
    if arguments.json:
        arguments.json.write_text(measured.to_json(), encoding="utf-8")
    if not options.quick and not options.only:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(measured.to_json(), encoding="utf-8")
    if measured.result.broken:
        raise VagusError(measured.result.broken)
    return measured


def page() -> str:
    """``docs/benchmarks.md``, from the last full run of each benchmark that has had one."""
    sections = []
    for name in NAMES:
        path = RESULTS / f"{name}.json"
        if path.exists():
            words = inspect.getdoc(_benchmark(name)) or ""
            sections.append((Report.from_json(path.read_text(encoding="utf-8")), words))
    return markdown(sections)


def main() -> int:
    """Run what the command line names; 1 if a benchmark could not be run."""
    arguments = _arguments()
    # A benchmark starts processes; it ends them on its way out, however it is told to go.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if arguments.name == "docs":
        DOCS.parent.mkdir(exist_ok=True)
        DOCS.write_text(page(), encoding="utf-8")
        return 0
    console, failed = Console(width=None if sys.stdout.isatty() else 100), False
    for name in NAMES if arguments.name == "all" else (arguments.name,):
        try:
            _run(name, arguments, console)
        except VagusError as error:
            console.print(f"{name}: {error}", style="red", markup=False)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
