"""Runs all tests: the fast ones in parallel, then those that must have the machine to themselves.

    python scripts/run_tests.py [PHASE...] [-- PYTEST ARGUMENTS]

A test that kills processes or starts the lab counts seconds, so nothing else may run beside it.
That makes several pytest runs; each one's result is printed again at the end, together with the
coverage of all of them, and the exit code is 0 only if every run passed.

A run that finds no test is a failure (a marker was mistyped, or a file is not collected) unless
its folder is empty. A run that exceeds its time is interrupted, which prints where it hung.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GRACE_S = 60  # for fixtures to end the processes they started


@dataclass(frozen=True)
class Phase:
    """One pytest run."""

    name: str
    marker: str
    folders: tuple[str, ...]
    timeout_s: int
    arguments: tuple[str, ...] = ()

    def has_tests(self) -> bool:
        return any(any((ROOT / "tests" / f).rglob("test_*.py")) for f in self.folders)


PHASES = (
    Phase(
        "fast",
        "not e2e and not crash",
        ("unit", "contract", "properties", "incidents"),
        1500,
        ("-n", "auto", "--dist", "worksteal"),
    ),
    Phase("crash", "crash", ("crash",), 1500),
    Phase("e2e", "e2e", ("e2e",), 2700),
)


@dataclass(frozen=True)
class Result:
    phase: str
    exit_code: int
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.phase}: {self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the tests.")
    parser.add_argument("phases", nargs="*", metavar="PHASE", help="fast, crash, e2e (default all)")
    parser.add_argument("--pytest", default="", help="further arguments for pytest")
    options = parser.parse_args()
    if unknown := set(options.phases) - {phase.name for phase in PHASES}:
        parser.error(f"no such phase: {', '.join(unknown)}")
    wanted = [p for p in PHASES if not options.phases or p.name in options.phases]
    with tempfile.TemporaryDirectory(prefix="vagus-tests-") as folder:
        results = [_run(p, Path(folder), options.pytest.split()) for p in wanted if p.has_tests()]
        _coverage(Path(folder))
    for result in results:
        print(result)
    total = Result(
        "total",
        max((r.exit_code for r in results), default=0),
        *(sum(getattr(r, what) for r in results) for what in ("passed", "failed", "skipped")),
    )
    print(total)
    return 0 if total.exit_code == 0 and total.failed == 0 and total.passed > 0 else 1


def _run(phase: Phase, folder: Path, more: list[str]) -> Result:
    print(f"\n--- tests: {phase.name} ---", flush=True)
    report = folder / f"{phase.name}.xml"
    command = [sys.executable, "-m", "pytest", "-m", phase.marker, *phase.arguments, "-q"]
    command += [f"--junitxml={report}", "--cov", "--cov-report=", *more]
    environment = {**os.environ, "COVERAGE_FILE": str(folder / f".coverage.{phase.name}")}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as pytest:
        code = _wait(pytest, phase)
    counts = _counts(report)
    if code != 0 and not counts["failed"]:
        counts["failed"] = 1  # it broke before, after or outside of a test
    return Result(phase.name, code, **counts)


def _wait(pytest: subprocess.Popen[bytes], phase: Phase) -> int:
    try:
        return pytest.wait(phase.timeout_s)
    except subprocess.TimeoutExpired:
        print(f"{phase.name} took longer than {phase.timeout_s} s: interrupted", flush=True)
        pytest.send_signal(signal.SIGINT)
    except KeyboardInterrupt:
        pass  # pytest got it too, and is ending what it started
    try:
        pytest.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        pytest.kill()
    return pytest.wait() or 1


def _counts(report: Path) -> dict[str, int]:
    if not report.is_file():
        return {"passed": 0, "failed": 0, "skipped": 0}
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314
    tests, failed, skipped = 0, 0, 0
    for suite in suites:
        tests += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return {"passed": max(0, tests - failed - skipped), "failed": failed, "skipped": skipped}


def _coverage(folder: Path) -> None:
    files = sorted(str(path) for path in folder.glob(".coverage.*"))
    environment = {**os.environ, "COVERAGE_FILE": str(folder / "combined")}
    coverage = [sys.executable, "-m", "coverage"]
    print("\n--- coverage ---", flush=True)
    if files:
        subprocess.run([*coverage, "combine", "-q", *files], cwd=ROOT, env=environment, check=True)
        subprocess.run(
            [*coverage, "report", "--skip-covered"], cwd=ROOT, env=environment, check=True
        )


if __name__ == "__main__":
    sys.exit(main())
