"""Every fault of the demo, many times over: does it heal each time, and how fast?

    python scripts/proof.py [--rounds N] [--only FAULT ...]

This takes hours, so it can be stopped and started at will: each case is one demo with one fault and
leaves one file, `proof/COMMIT/FAULT-ROUND.json`, and a case whose file is there is not run again.
A new commit starts anew. Uncommitted changes belong to no commit, so they are refused.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
VAGUS = [sys.executable, "-m", "vagus"]
CASE_TIMEOUT_S = 900


def main() -> int:
    parser = argparse.ArgumentParser(description="Play every fault many times.")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", action="append", metavar="FAULT", help="may be repeated")
    options = parser.parse_args()
    if _output(["git", "status", "--porcelain", "--untracked-files=no"]):
        print("there are uncommitted changes: commit them, the results are filed by commit")
        return 2
    folder = ROOT / "proof" / _output(["git", "rev-parse", "--short=12", "HEAD"])
    folder.mkdir(parents=True, exist_ok=True)
    listed = json.loads(_output([*VAGUS, "demo", "--list", "--json"]))["faults"]
    faults = options.only or [fault["fault"] for fault in listed]
    for number in range(1, options.rounds + 1):
        for fault in faults:
            case = folder / f"{fault}-{number:03}.json"
            if not case.exists():
                _play(fault, case)
    return _report(folder, faults)


def _play(fault: str, case: Path) -> None:
    """Run one demo and file what it printed, whether it healed or not."""
    print(f"{case.stem} ...", end=" ", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = ["--report", str(Path(folder) / "report.html")]
        demo = subprocess.run(
            [*VAGUS, "demo", "--json", "--only", fault, *report],
            capture_output=True,
            text=True,
            timeout=CASE_TIMEOUT_S,
            check=False,
        )
    if demo.returncode not in (0, 1) or not demo.stdout.strip():
        sys.exit(f"the demo could not be played:\n{demo.stderr[-2000:]}")
    result = json.loads(demo.stdout)
    unfinished = case.with_suffix(".part")
    unfinished.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(case)
    print("healed" if result["healed"] == result["total"] else "NOT HEALED", flush=True)


def _report(folder: Path, faults: Iterable[str]) -> int:
    """Print a line for each fault; exit code 0 only if every case healed."""
    print(f"\n{'fault':<18}{'healed':>9}{'safe s: median':>16}{'worst':>8}{'failed of':>12}")
    failures = 0
    for fault in faults:
        files = sorted(folder.glob(f"{fault}-[0-9]*.json"))
        cases = [json.loads(file.read_text("utf-8"))["faults"][0] for file in files]
        healed = sum(case["healed"] for case in cases)
        safe = [case["safe_s"] for case in cases if case["safe_s"] is not None] or [float("nan")]
        failed, requests = (sum(case[name] for case in cases) for name in ("failed", "requests"))
        failures += len(cases) - healed
        counts = f"{healed:>5}/{len(cases):<3}{median(safe):>16.2f}{max(safe):>8.2f}"
        print(f"{fault:<18}{counts}{failed:>7}/{requests}")
    return 1 if failures else 0


def _output(command: list[str]) -> str:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
