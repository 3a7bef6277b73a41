"""Whatever ends a supervisor, and whenever, nothing that it started is left."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from vagus.lab import watchdog

pytestmark = pytest.mark.crash

SUPERVISOR = """
import asyncio, pathlib, sys
from vagus.clock import SystemClock
from vagus.lab.processes import Command, Processes

async def main(mark, count, log):
    processes = Processes(SystemClock())
    for number in range(count):
        argv = (sys.executable, log.with_name("child.py"), mark, str(number))
        print(processes.start(Command(tuple(map(str, argv))), log).pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])))
"""
CHILD = """
import signal, subprocess, sys, time
if len(sys.argv) > 2:
    subprocess.Popen([sys.executable, __file__, sys.argv[1]])
    if int(sys.argv[2]) % 2:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
"""


def marked(mark: str) -> list[psutil.Process]:
    """All processes whose command line carries ``mark``, the supervisor's own included."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if mark in (process.info["cmdline"] or []) and process.status() != psutil.STATUS_ZOMBIE
    ]


def none_left(mark: str, within_s: float = 30) -> bool:
    """Wait until every process of ``mark`` is gone; more may still be about to start."""
    while processes := marked(mark):
        if psutil.wait_procs(processes, timeout=within_s)[1]:
            return False
    return True


@contextmanager
def supervisor(tmp_path: Path, count: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    mark = f"mark-{uuid.uuid4()}"
    (tmp_path / "child.py").write_text(CHILD)
    argv = [sys.executable, "-c", SUPERVISOR, mark, str(count), str(tmp_path / "log")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        yield process, mark
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        for leftover in marked(mark):
            leftover.kill()


def started(process: subprocess.Popen[str], count: int) -> list[int]:
    assert process.stdout is not None
    return [int(process.stdout.readline()) for _ in range(count)]


def watchdog_of(process: subprocess.Popen[str]) -> psutil.Process:
    children = psutil.Process(process.pid).children()
    return next(child for child in children if "vagus.lab.watchdog" in child.cmdline())


def test_kill_9_of_the_supervisor_leaves_no_process(tmp_path: Path) -> None:
    with supervisor(tmp_path, 3) as (process, mark):
        started(process, 3)
        guard = watchdog_of(process)
        process.kill()
        assert none_left(mark)
        assert psutil.wait_procs([guard], timeout=30)[1] == []


def test_a_stopped_group_is_ended_too(tmp_path: Path) -> None:
    with supervisor(tmp_path, 2) as (process, mark):
        for group in started(process, 2):
            os.killpg(group, signal.SIGSTOP)
        process.kill()
        assert none_left(mark)


@pytest.mark.parametrize("after", [1, 2, 5, 9])
def test_kill_9_in_the_middle_of_starting_leaves_no_process(tmp_path: Path, after: int) -> None:
    with supervisor(tmp_path, 10) as (process, mark):
        started(process, after)
        guard = watchdog_of(process)
        process.kill()
        process.wait()
        assert psutil.wait_procs([guard], timeout=30)[1] == []
        assert marked(mark) == [], "the watchdog left before all were gone"


def test_a_signal_from_the_terminal_does_not_end_the_watchdog(tmp_path: Path) -> None:
    with supervisor(tmp_path, 1) as (process, mark):
        started(process, 1)
        guard = watchdog_of(process)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            guard.send_signal(number)
        process.kill()
        assert none_left(mark)
        assert psutil.wait_procs([guard], timeout=30)[1] == []


def test_groups_that_are_crossed_out_are_left_alone() -> None:
    entries = io.StringIO("+10 15\n+11 2\n-10\n+12 15\n-13\nhalf a li")
    assert watchdog.groups_left(entries) == {11: 2, 12: 15}
