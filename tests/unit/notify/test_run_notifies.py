"""``vagus run``, as a process of its own, tells people."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vagus.clock import SystemClock
from vagus.model import Stop
from vagus.state.controls import Controls
from vagus.state.db import open_database
from vagus.state.ledger import Ledger
from vagus.testing.receivers import Inbox, webhook

DEADLINE = 120.0  # s; a busy machine takes long to start it
CONFIG = """\
stack: {chat: {kind: model-server}}
mode: "off"
api: {port: 0}
state: sqlite:///vagus.db
policy: {licences: licences.yaml}
notify:
  - {name: pager, url_env: PAGER_URL, occasions: [stopped]}
"""
GRANTS = """\
licences:
  - {action: replace, component: chat, owner: ada, reason: rehearsed, days: 30}
"""


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


def vagus(folder: Path, url: str) -> subprocess.Popen[bytes]:
    (folder / "vagus.yaml").write_text(CONFIG)
    (folder / "licences.yaml").write_text(GRANTS)
    return subprocess.Popen(
        [sys.executable, "-m", "vagus", "run", "-c", str(folder / "vagus.yaml"), "--json"],
        env={**os.environ, "PAGER_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@contextmanager
def running(folder: Path, url: str) -> Iterator[None]:
    process = vagus(folder, url)
    try:
        state = folder / "vagus.db"
        until(lambda: process.poll() is not None or _started(state))
        yield
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, errors.decode()
        assert b"s3cret" not in errors
    finally:
        process.kill()
        process.wait()


def _started(state: Path) -> bool:
    if not state.exists():
        return False
    database = open_database(f"sqlite:///{state}", SystemClock())
    try:
        return any(entry.event == "started" for entry in Ledger(database).entries())
    finally:
        database.close()


def test_a_stop_reaches_the_pager_and_grants_are_in_the_ledger(tmp_path: Path) -> None:
    inbox = Inbox()
    with webhook(inbox) as port, running(tmp_path, f"json://127.0.0.1:{port}/s3cret"):
        database = open_database(f"sqlite:///{tmp_path / 'vagus.db'}", SystemClock())
        try:
            Controls(database).set_stop(Stop("ada", "release freeze"))
            until(lambda: bool(inbox.arrived))
            (tmp_path / "vagus.stop").write_text("Jo: not before Monday")
            until(lambda: len(inbox.arrived) == 2)
            issued = [e for e in Ledger(database).entries() if e.event == "licence.issued"]
        finally:
            database.close()
    assert inbox.titles == [
        "Vagus stands still: release freeze",
        "Vagus stands still: not before Monday",
    ]
    assert [(e.facts["issued_by"], e.facts["manual"]) for e in issued] == [("ada", True)]


def test_an_address_that_can_not_be_used_ends_it_before_it_starts(tmp_path: Path) -> None:
    process = vagus(tmp_path, "nosuch://s3cret@example.org")
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 2
    assert b"notify target 'pager'" in errors
    assert b"s3cret" not in errors
    assert not (tmp_path / "vagus.db").exists()
