"""Whatever is killed, and whenever: the fault is gone within its lease, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from vagus.chaos import processes
from vagus.chaos.lease import sweep
from vagus.chaos.undo import MachineUptime, Shelf, UndoRecord
from vagus.clock import SystemClock

pytestmark = pytest.mark.crash

WITHIN = 60.0  # s for anything that must happen at all
LONG, SHORT = 3600.0, 5.0  # s of lease: one that can't be what ended it, and one that is

RUNNER = """
import sys
from pathlib import Path
from vagus.chaos import processes
from vagus.chaos.faults.signals import stop
from vagus.chaos.lease import Leased
from vagus.chaos.undo import MachineUptime, Shelf, UndoRecord

folder, victim, lease, halt = sys.argv[1:]
pid = int(victim)
note = {"component": "chat", "replica": "chat-1", "pid": pid, "began": processes.began(pid)}
record = UndoRecord.made(
    "inj-1", fault="stop", subject="chat/chat-1", does=stop.does(note), note=note,
    lease=float(lease), uptime=MachineUptime(),
)

def reached(point):
    if point == halt:
        print(point, flush=True)
        sys.stdin.readline()

leased = Leased(stop, record, Shelf(Path(folder)))
with leased:
    reached("guarded")
    stop.inject(note)
    reached("injected")
    Shelf(Path(folder)).mark_injected(record)
    reached("marked")
print("over", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def victim() -> Iterator[int]:
    """A process group of its own that a fault may stop."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process.pid
    process.kill()
    process.wait()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "undo")


class Runner:
    """Who injects, halted at a point of its way."""

    def __init__(self, shelf: Shelf, victim: int, lease: float, halt: str) -> None:
        argv = [sys.executable, "-c", RUNNER, str(shelf.folder), str(victim), str(lease), halt]
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == halt
        self.reapers = [
            child
            for child in psutil.Process(self.process.pid).children()
            if "vagus.chaos.reaper" in child.cmdline()
        ]

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self) -> None:
        for process in (*self.reapers, self.process):
            if process.pid and psutil.pid_exists(process.pid):
                process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


Start = Callable[..., Runner]


@pytest.fixture
def start(shelf: Shelf, victim: int) -> Iterator[Start]:
    runners: list[Runner] = []

    def begin(*, lease: float = LONG, halt: str = "marked") -> Runner:
        runners.append(Runner(shelf, victim, lease, halt))
        return runners[-1]

    yield begin
    for runner in runners:
        runner.close()


async def until(so: Callable[[], bool]) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + WITHIN
    while not so():
        assert clock.monotonic() < deadline
        await clock.sleep(0.02)


async def until_mended(shelf: Shelf, victim: int, runner: Runner) -> None:
    """The fault is out, its record is gone, and so is who saw to that."""
    await until(lambda: shelf.all() == ())
    assert processes.state(victim) != "T"
    for reaper in runner.reapers:
        await until(lambda pid=reaper.pid: processes.began(pid) == processes.GONE)  # type: ignore[misc]


@pytest.mark.parametrize("point", ["guarded", "injected", "marked"])
async def test_kill_9_of_the_runner(shelf: Shelf, victim: int, start: Start, point: str) -> None:
    runner = start(halt=point)
    assert (processes.state(victim) == "T") is (point != "guarded")
    runner.process.kill()
    await until_mended(shelf, victim, runner)


async def test_kill_9_of_the_terminal_and_all_that_it_started(
    shelf: Shelf, victim: int, start: Start
) -> None:
    runner = start()
    os.killpg(runner.process.pid, signal.SIGKILL)
    await until_mended(shelf, victim, runner)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_the_reaper_does_not_hear_what_a_terminal_sends(
    shelf: Shelf, victim: int, start: Start, number: signal.Signals
) -> None:
    runner = start()
    for reaper in runner.reapers:
        reaper.send_signal(number)
    runner.process.kill()
    await until_mended(shelf, victim, runner)


async def test_a_suspended_runner_does_not_outlast_the_lease(
    shelf: Shelf, victim: int, start: Start
) -> None:
    runner = start(lease=SHORT)
    runner.process.send_signal(signal.SIGSTOP)
    await until_mended(shelf, victim, runner)


async def test_the_end_of_an_experiment_takes_the_same_way(
    shelf: Shelf, victim: int, start: Start
) -> None:
    runner = start()
    runner.go_on()
    assert runner.process.stdout is not None
    assert runner.process.stdout.readline().strip() == "over"
    assert shelf.all() == ()
    assert processes.state(victim) != "T"


async def test_with_the_reaper_killed_the_runner_does_its_work(
    shelf: Shelf, victim: int, start: Start
) -> None:
    runner = start()
    for reaper in runner.reapers:
        reaper.kill()
    runner.go_on()
    assert runner.process.stdout is not None
    assert runner.process.stdout.readline().strip() == "over"
    await until_mended(shelf, victim, runner)


@pytest.mark.parametrize("point", ["guarded", "injected", "marked"])
async def test_with_everybody_killed_the_next_call_does_it(
    shelf: Shelf, victim: int, start: Start, point: str
) -> None:
    runner = start(halt=point)
    for reaper in runner.reapers:
        reaper.kill()
    runner.process.kill()
    runner.process.wait()
    (undone,) = sweep(shelf, MachineUptime())
    assert undone.subject == "chat/chat-1"
    await until_mended(shelf, victim, runner)


async def test_a_fault_whose_experiment_runs_is_left_to_it(
    shelf: Shelf, victim: int, start: Start
) -> None:
    start()
    assert sweep(shelf, MachineUptime()) == ()
    assert processes.state(victim) == "T"


def test_a_reaper_whose_runner_died_before_it_was_ready_does_its_work(
    shelf: Shelf, victim: int
) -> None:
    note = {"component": "chat", "replica": "chat-1", "pid": victim,
            "began": processes.began(victim)}  # fmt: skip
    record = UndoRecord.made(
        "inj-1", fault="stop", subject="chat/chat-1", does="SIGSTOP", note=note, lease=LONG,
        uptime=MachineUptime(),
    )  # fmt: skip
    shelf.put(record)
    os.kill(victim, signal.SIGSTOP)
    nobody, reads = os.pipe()
    os.close(nobody)  # so writing fails, as to a dead process
    argv = [sys.executable, "-m", "vagus.chaos.reaper", str(shelf.folder), "inj-1"]
    reaper = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=reads)
    os.close(reads)
    assert reaper.wait(WITHIN) == 0
    assert shelf.all() == ()
    assert processes.state(victim) != "T"
