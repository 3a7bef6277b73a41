"""kill -9 in the middle of a remediation: the incident goes on, the action is not repeated, and the
ledger holds both halves of the story without a break."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).with_name("heal_worker.py")

pytestmark = pytest.mark.crash


def work(folder: Path, index: int = -1, when: str = "before") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(WORKER), str(folder), str(index), when],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ended(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What an undisturbed workflow calls, in order."""
    result = ended(work(tmp_path_factory.mktemp("undisturbed")))
    assert result["state"] == "resolved"
    assert len(result["restarts"]) == 1
    names: list[str] = result["calls"]
    return names


# (which call, which occurrence of it, when): around the ejection, the restart and the return.
POINTS = [
    ("intents.decide", 0, "before"),
    ("intents.decide", 0, "after"),
    ("intents.begin", 0, "after"),
    ("call", 0, "after"),
    ("intents.begin", 1, "after"),  # begun and never done: unknown, so the next rung, no repetition
    ("call", 2, "after"),  # the process was restarted, and nobody has written down that it was
    ("intents.finish", 1, "after"),
    ("ledger.append", -1, "before"),
]


@pytest.mark.parametrize(("name", "occurrence", "when"), POINTS)
def test_the_incident_goes_on_and_no_action_is_repeated(
    tmp_path: Path, calls: list[str], name: str, occurrence: int, when: str
) -> None:
    index = [i for i, call in enumerate(calls) if call == name][occurrence]
    killed = work(tmp_path, index, when)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    result = ended(work(tmp_path))
    assert result["state"] == "resolved"
    assert len(result["restarts"]) <= 1
    assert result["breaks"] == []
    assert result["held_back"] == 0
    assert result["events"].count("resolved") == 1
