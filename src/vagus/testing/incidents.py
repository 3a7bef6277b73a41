"""The named incidents of a folder of tests, replayed: the cases of the mutation run.

Each file tells one incident that happened to somebody, in ``replay(bench)``, as requests that must
not pass and the guard that holds each. The tests assert it, the mutation run and the benchmark of
the guards count it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from vagus.testing.gate_bench import GateBench, gate_bench
from vagus.testing.guard_cases import Held

Replay = Callable[[GateBench], list[Held]]


def replays(folder: Path) -> dict[str, Replay]:
    """By the name of the incident."""
    found: dict[str, Replay] = {}
    for file in sorted(folder.glob("test_*.py")):
        spec = importlib.util.spec_from_file_location(f"incident_{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        if "def replay(" in file.read_text(encoding="utf-8"):
            spec.loader.exec_module(module)
            found[file.stem.removeprefix("test_")] = module.replay
    return found


def cases_of(folder: Path, scratch: Path) -> dict[str, list[Held]]:
    """The cases of each incident in ``folder``; states are made in ``scratch``."""
    cases = {}
    for name, replay in replays(folder).items():
        state = scratch / name
        state.mkdir()
        with gate_bench(state) as bench:
            cases[name] = replay(bench)
    return cases
