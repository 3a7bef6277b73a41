"""Several processes on one state in Postgres: whatever becomes of the leader, the incident goes on,
nothing is done twice, and the ledger holds.

Nothing here is asserted about time but that it ends; what a takeover took is printed (``-s``).
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from vagus.testing.postgres import Server, running

WORKER = Path(__file__).with_name("takeover_worker.py")
PATIENCE_S = 100.0

pytestmark = pytest.mark.crash


class Worker:
    """A process, and what it said, with the time at which it was heard."""

    def __init__(self, url: str, folder: Path, *interruption: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER), url, str(folder), *interruption],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.heard: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._lines: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put({**json.loads(line), "heard_at": time.monotonic()})
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line)

    def until(self, what: str) -> dict[str, Any]:
        """Read on until it says ``what``."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            said = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            assert said is not None, f"ended without saying {what}: {''.join(self.errors)}"
            self.heard.append(said)
            if what in said:
                return said

    def go_on(self) -> None:
        """From where it waits, unless it has ended."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("go\n")
            self.process.stdin.flush()

    def ended(self) -> int:
        code = self.process.wait(PATIENCE_S)
        for reader in self._readers:
            reader.join()
        while (said := self._lines.get()) is not None:
            self.heard.append(said)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    workers: list[Worker] = []

    def start(url: str, *interruption: str) -> Worker:
        workers.append(Worker(url, tmp_path, *interruption))
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


def done(folder: Path) -> list[str]:
    """What was done to processes, by whomever; nothing of it twice."""
    journal = folder / "world.journal"
    lines = journal.read_text().splitlines() if journal.exists() else []
    assert len(set(lines)) == len(lines)
    assert sum(line.startswith("restart ") for line in lines) <= 1
    return lines


def is_whole(result: dict[str, Any]) -> bool:
    assert result["state"] == "resolved"
    assert result["breaks"] == []
    assert result["held_back"] == 0
    assert result["events"].count("resolved") == 1
    return True


def stopped(worker: Worker) -> None:
    """Returns once the kernel has stopped it."""
    status = Path(f"/proc/{worker.process.pid}/stat")
    deadline = time.monotonic() + PATIENCE_S
    while status.read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Around the two instants that matter most: the intent has begun and nothing is done; it is done and
# nobody has written that down. And before anything was decided.
POINTS = [
    ("intents.decide", "1", "before"),
    ("intents.begin", "2", "after"),
    ("call", "3", "after"),
]


@pytest.mark.parametrize(("name", "count", "when"), POINTS)
def test_a_standby_goes_on_where_the_leader_was_killed(
    postgres: Server, tmp_path: Path, start: Any, name: str, count: str, when: str
) -> None:
    url = postgres.new_state()
    leader = start(url, "wait", name, count, when)
    leader.until("reached")
    standby = start(url)
    standby.until("pid")
    standby_waits(standby)
    leader.process.send_signal(signal.SIGKILL)
    killed_at = time.monotonic()
    led = standby.until("leads")
    assert led["fencing"] == 2
    resumed = standby.until("call")
    assert is_whole(standby.until("state"))
    assert standby.ended() == 0
    assert done(tmp_path)
    sys.stdout.write(
        f"\ntakeover: leads {led['heard_at'] - killed_at:.2f} s, "
        f"works {resumed['heard_at'] - killed_at:.2f} s after the leader was killed\n"
    )


def standby_waits(standby: Worker) -> None:
    """Returns once it says that it stands by."""
    deadline = time.monotonic() + PATIENCE_S
    while not any("stands_by" in line for line in standby.errors):
        assert standby.process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("intents.begin", "2"),  # next it would write
        ("call", "3"),  # next it would act
    ],
)
def test_a_leader_that_was_stopped_for_too_long_ends_before_it_does_anything(
    postgres: Server, tmp_path: Path, start: Any, name: str, count: str
) -> None:
    url = postgres.new_state()
    leader = start(url, "stop", name, count, "before")
    leader.until("reached")
    stopped(leader)
    standby = start(url)
    standby.until("leads")
    assert is_whole(standby.until("state"))
    before = done(tmp_path)
    leader.process.send_signal(signal.SIGCONT)
    assert leader.ended() == 4
    assert "another process leads now" in "".join(leader.errors)
    assert done(tmp_path) == before
    assert standby.ended() == 0


def test_a_leader_that_ends_hands_over_at_once(
    postgres: Server, tmp_path: Path, start: Any
) -> None:
    """In the middle of an incident: what it leaves unfinished, the next one finishes, and whatever
    still runs in it can't go on."""
    url = postgres.new_state()
    leader = start(url, "wait", "intents.decide", "2", "before")
    leader.until("reached")
    standby = start(url)
    standby_waits(standby)
    leader.process.send_signal(signal.SIGTERM)
    asked_at = time.monotonic()
    led = standby.until("leads")
    assert is_whole(standby.until("state"))
    assert done(tmp_path)
    before = done(tmp_path)
    leader.go_on()
    assert leader.ended() == 4
    assert done(tmp_path) == before
    sys.stdout.write(f"\nhanded over: {led['heard_at'] - asked_at:.2f} s after SIGTERM\n")


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that may be stopped: nobody else uses it."""
    with running() as server:
        yield server


def test_while_the_database_is_away_nothing_is_done_and_then_it_goes_on(
    own_server: Server, tmp_path: Path, start: Any
) -> None:
    """Away just before the restart would begin."""
    worker = start(own_server.new_state(), "wait", "leases.acquire", "2", "after")
    worker.until("reached")
    own_server.stop(signal.SIGQUIT)
    try:
        worker.go_on()
        worker.until("unavailable")
        worker.until("unavailable")  # it asks again, and does not end
        assert done(tmp_path) == []
    finally:
        own_server.start()
    assert is_whole(worker.until("state"))
    assert worker.ended() == 0
    assert len(done(tmp_path)) == 1


@pytest.mark.parametrize(
    ("call", "when"),
    [
        ("intents.begin", "before"),  # next our own tables would be written
        ("intents.finish", "after"),  # next the workflow's step would be
    ],
)
def test_a_database_that_is_read_only_for_a_while(
    own_server: Server, tmp_path: Path, start: Any, call: str, when: str
) -> None:
    url = own_server.new_state()
    name = url.partition("?")[0].rpartition("/")[2]
    setting = f"ALTER DATABASE {name} SET default_transaction_read_only = "
    worker = start(url, "wait", call, "2", when)
    worker.until("reached")
    before = done(tmp_path)
    own_server.do(setting + "on")
    cut_off(own_server, name)
    worker.go_on()
    not_renewed(worker)
    assert done(tmp_path) == before
    own_server.do(setting + "off")
    cut_off(own_server, name)
    assert is_whole(worker.until("state"))
    assert worker.ended() == 0
    assert len(done(tmp_path)) == 1


def not_renewed(worker: Worker) -> None:
    """Returns once it has said, twice from now on, that it can't write who leads."""
    seen = sum("not_renewed" in line for line in worker.errors)
    deadline = time.monotonic() + PATIENCE_S
    while sum("not_renewed" in line for line in worker.errors) < seen + 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def cut_off(server: Server, name: str) -> None:
    """End the sessions, which keep the setting that they began with."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid()",
            (name,),
        )
