"""kill -9, and SIGSTOP, at every transition of the healing workflow.

What is tried is not a list that somebody keeps. A *nursery* runs each scenario once undisturbed and
writes down every point that it passes: before a step, after the step's effect but before DBOS has
recorded it, after it is recorded, and before and after each call that a step makes to the state or
to the world. These points are the matrix. So a step that is added tomorrow is in it tomorrow, and
:func:`steps` lets a test insist that there is a scenario which reaches it.

A cell is one point. A process is ended there; another one goes on from what it left behind; then
the invariants are looked at: the incident came to its end, no action was done twice, the ledger
holds. Importing everything takes longer than healing does, so the nursery imports once and forks,
which is safe because it has no other thread.

``python -m vagus.testing.crashing FOLDER`` answers requests, one line of JSON each.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from dbos import DBOS

from vagus import healing
from vagus.healing import Healer
from vagus.healing_steps import Hands, step
from vagus.model import Aspect, Decision, GuardRuling, IncidentState, Override, ProposalState
from vagus.remediation.traffic import UNHEALTHY
from vagus.testing.bench import CHAT_2, Bench
from vagus.testing.world import SmallWorld

DEADLINE = 120.0  # s for one life of one process, on a machine that does other things too
WRAPPED = ("incidents", "intents", "leases", "proposals", "ledger", "forget", "call")  # of Hands
WAITS = ("sleep", "recv")  # of DBOS itself
REPEATS = (
    12  # what is passed more often is a wait that looks again, and is tried at its first looks
)
FIRST_LOOKS = 3

Moment = Literal["before", "uncommitted", "committed", "called", "returned"]
How = Literal["kill", "stop"]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Scenario:
    """A fault, and how its incident must end however often it is interrupted."""

    ends: IncidentState
    healed_by: str | None = "restart"
    callers_fail: bool = False
    mended: bool = False  # somebody else did, while its traffic was held back
    said: bool | None = None  # what a person says when asked about the restart; None: nobody is


SCENARIOS = {
    "restarted": Scenario(IncidentState.RESOLVED),
    "replaced": Scenario(IncidentState.RESOLVED, healed_by="replace"),
    "fails on return": Scenario(IncidentState.ESCALATED, callers_fail=True),
    "approved": Scenario(IncidentState.RESOLVED, said=True),
    "denied": Scenario(IncidentState.ESCALATED, said=False),
    "mended by hand": Scenario(IncidentState.RESOLVED, healed_by=None, mended=True),
}


@dataclass(frozen=True)
class Point:
    """A place in the run of a workflow: the n-th time that ``moment`` of ``name`` is passed."""

    name: str
    moment: Moment
    occurrence: int

    def __str__(self) -> str:
        return f"{self.name} {self.moment} #{self.occurrence}"

    @property
    def is_transition(self) -> bool:
        """At the border of a step, rather than somewhere inside of one."""
        return self.moment in ("before", "uncommitted", "committed")


@dataclass(frozen=True)
class Cell:
    scenario: str
    point: Point
    how: How = "kill"

    def __str__(self) -> str:
        return f"{self.scenario}: {self.how} at {self.point}"


@dataclass(frozen=True)
class Ending:
    """What was left when the last process had ended."""

    reached: bool  # the point was passed, and the process ended (or stood still) there
    state: str
    concluded: int  # how often the ledger says so
    actions: tuple[str, ...]  # what was done to processes, as the world saw it
    breaks: tuple[str, ...]  # of the ledger's chain
    held_back: bool  # whether callers are still kept away
    points: tuple[Point, ...] = ()
    late: int = 0  # actions of a process that woke up when others had long done everything
    error: str = ""

    @property
    def repeated(self) -> int:
        """Actions that were done more than once to one process, or by one that woke up late."""
        return max(self.late, len(self.actions) - len(set(self.actions)))

    def lost(self, scenario: Scenario) -> bool:
        """The incident did not come to the end that it must come to, or more than once."""
        stranded = scenario.ends is IncidentState.RESOLVED and self.held_back
        return self.state != scenario.ends.value or self.concluded != 1 or stranded


def steps() -> frozenset[str]:
    """Every step of the workflow, by the name under which DBOS records it."""
    names = {
        getattr(member, "dbos_function_name", "")
        for name in dir(Healer)
        if callable(member := getattr(Healer, name))
    }
    return frozenset(names - {"", Healer.heal.__qualname__})


def representative(points: Sequence[Point]) -> Sequence[Point]:
    """Those that are tried wherever there is little time: every transition of every step, the first
    time and the last, and every action where it meets the world and its intent."""
    count = Counter((point.name, point.moment) for point in points)
    acts = ("call", "intents.begin", "intents.finish")
    return [
        point
        for point in points
        if (point.is_transition and point.occurrence in (0, count[point.name, point.moment] - 1))
        or (point.name.startswith(acts) and point.occurrence < 2)
    ]


class Nursery:
    """The process in which cells are tried. One at a time; several nurseries may work at once."""

    def __init__(self, folder: Path, state: str = "sqlite:///{folder}/vagus.db") -> None:
        """``state`` is where each cell keeps its state; ``{folder}`` is a folder of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        self._log = (folder / "nursery.log").open("w", encoding="utf-8")
        self._process = subprocess.Popen(  # noqa: S603  ourselves
            [sys.executable, "-m", "vagus.testing.crashing", str(folder), state],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def points(self, scenario: str) -> Sequence[Point]:
        """Every point that an undisturbed run passes, in order. Raises AssertionError if it does
        not end as it must."""
        ending = self._ask({"scenario": scenario})
        assert not ending.lost(SCENARIOS[scenario]), ending
        assert not ending.repeated, ending
        often = Counter((point.name, point.moment) for point in ending.points)
        return [
            point
            for point in ending.points
            if often[point.name, point.moment] <= REPEATS or point.occurrence < FIRST_LOOKS
        ]

    def try_cell(self, cell: Cell) -> Ending:
        return self._ask(dataclasses.asdict(cell))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(DEADLINE)
        self._process.stdout.close()
        self._log.close()

    def _ask(self, request: dict[str, Any]) -> Ending:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the nursery ended: {Path(self._log.name).read_text()[-2000:]}")
        return _ending(line)


def _ending(line: str) -> Ending:
    read = json.loads(line)
    points = tuple(Point(**point) for point in read.pop("points"))
    read |= {"actions": tuple(read["actions"]), "breaks": tuple(read["breaks"])}
    return Ending(**read, points=points)


# --- inside of the nursery ------------------------------------------------------------------------


class Tripwire:
    """Counts the points that are passed, and ends the process, or stops it, at one of them."""

    def __init__(self, at: Point | None, how: How) -> None:
        self._at, self._how = at, how
        self._lock = threading.Lock()
        self._count: Counter[tuple[str, Moment]] = Counter()
        self.passed: list[Point] = []

    def passing(self, name: str, moment: Moment) -> None:
        with self._lock:
            point = Point(name, moment, self._count[name, moment])
            self._count[name, moment] += 1
            self.passed.append(point)
        if point == self._at:
            os.kill(os.getpid(), signal.SIGKILL if self._how == "kill" else signal.SIGSTOP)

    def strung(self, name: str, function: F, before: Moment, after: Moment) -> F:
        @functools.wraps(function)
        def strung(*args: Any, **kwargs: Any) -> Any:
            # What is called on the event loop is named by what it is: Acting._order, Eject.confirm.
            what = f"{name} {args[0].__qualname__}" if name == "call" else name
            self.passing(what, before)
            result = function(*args, **kwargs)
            self.passing(what, after)
            return result

        return strung  # type: ignore[return-value]

    def string_workflow(self) -> None:
        """Through every step, and everything for which the workflow itself waits."""
        for attribute in dir(Healer):
            member = getattr(Healer, attribute)
            name = getattr(member, "dbos_function_name", "")
            if name in steps():
                # Decorated anew, so that the innermost wire lies before DBOS records the result.
                inner = self.strung(name, member.__wrapped__, "called", "uncommitted")
                recorded = step(inner)
                setattr(Healer, attribute, self.strung(name, recorded, "before", "committed"))
        for name in WAITS:
            wait = self.strung(f"DBOS.{name}", getattr(DBOS, name), "before", "committed")
            setattr(DBOS, name, staticmethod(wait))

    def string_hands(self, hands: Hands) -> Hands:
        changed: dict[str, Any] = {}
        for name in WRAPPED:
            hand = getattr(hands, name)
            changed[name] = (
                self.strung(name, hand, "called", "returned")
                if callable(hand)
                else _Strung(name, hand, self)
            )
        return dataclasses.replace(hands, **changed)


class _Strung:
    """One of the hands with a tripwire around each of its methods."""

    def __init__(self, name: str, hand: object, wire: Tripwire) -> None:
        self._name, self._hand, self._wire = name, hand, wire

    def __getattr__(self, method: str) -> object:
        name = f"{self._name}.{method}"
        return self._wire.strung(name, getattr(self._hand, method), "called", "returned")


def _live(folder: Path, url: str, scenario: Scenario, wire: Tripwire) -> Ending:
    """Heal the incident of this folder, or go on healing it."""
    healing.LOOK_EVERY = 0.02
    wire.string_workflow()

    def world(world: SmallWorld) -> None:
        world.glances = 1
        world.callers_fail = scenario.callers_fail
        world.replicas_by_name["chat-2"].sick_until = scenario.healed_by
        world.remember()

    bench = Bench(folder, wire.string_hands, url=url, world=world)
    known = bench.incidents.recent(1)
    incident = known[0] if known else bench.sicken(scenario.healed_by or "nothing")
    if not known and scenario.mended:
        now = bench.clock.now()
        bench.overrides.put(Override(CHAT_2, Aspect.HEALTH, UNHEALTHY, incident.id, now))
        bench.close_findings(incident)
        bench.world.replicas_by_name["chat-2"].sick_until = None
    if scenario.said is not None:
        ask = GuardRuling("tier", Decision.ASK, "a person must say so")
        bench.deny["restart"] = ask
        threading.Thread(target=_answer, args=(bench, scenario.said, wire), daemon=True).start()
    healed = bench.heal(incident)
    entries = list(bench.ledger.entries())
    return Ending(
        reached=False,
        state=healed.state.value,
        concluded=sum(entry.step == "conclude" for entry in entries),
        actions=tuple(bench.world.journalled()),
        breaks=tuple(str(b) for b in bench.ledger.verify()),
        held_back=any(o.aspect is not Aspect.MEMBER for o in bench.overrides.all()),
        points=tuple(wire.passed),
    )


def _answer(bench: Bench, yes: bool, wire: Tripwire) -> None:
    """A person who answers once the workflow waits, so that every run passes the same points; and
    wakes what was decided before."""
    while True:
        for proposal in bench.proposals.recent(9):
            if proposal.state is not ProposalState.OPEN:
                bench.healer.wake(proposal.id)
            elif any(point.name == "DBOS.recv" for point in wire.passed):
                bench.answer(proposal, yes=yes)
        time.sleep(0.05)


def _born(folder: Path, url: str, scenario: Scenario, at: Point | None, how: How) -> int:
    """A process that lives until it has healed, or until it meets its point."""
    pid = os.fork()
    if pid:
        return pid
    try:
        with (folder / f"{os.getpid()}.log").open("w", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            ending = _live(folder, url, scenario, Tripwire(at, how))
            out = folder / f"{os.getpid()}.json"
            out.write_text(json.dumps(dataclasses.asdict(ending)), encoding="utf-8")
            os._exit(0)
    except BaseException:  # noqa: BLE001  a fork must not go on as its parent
        (folder / f"{os.getpid()}.error").write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(1)


def _met(pid: int, how: How) -> bool:
    """Wait for the process to meet its point. False: it lived to its end without."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if done:
            return os.WIFSTOPPED(status) if how == "stop" else os.WIFSIGNALED(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def _lived(pid: int, folder: Path) -> Ending:
    """Wait for the end of a process that nobody interrupts."""
    deadline = time.monotonic() + DEADLINE
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return _failed("it did not come to an end")
        time.sleep(0.005)
    result = folder / f"{pid}.json"
    if not result.exists():
        error = folder / f"{pid}.error"
        return _failed(error.read_text(encoding="utf-8") if error.exists() else "it left nothing")
    return _ending(result.read_text(encoding="utf-8"))


def _failed(why: str) -> Ending:
    return Ending(False, "unknown", 0, (), (), held_back=True, error=why)


def _try(folder: Path, state: str, request: dict[str, Any]) -> Ending:
    url, scenario = state.format(folder=folder), SCENARIOS[request["scenario"]]
    if "point" not in request:
        return _lived(_born(folder, url, scenario, None, "kill"), folder)
    how: How = request["how"]
    first = _born(folder, url, scenario, Point(**request["point"]), how)
    reached = _met(first, how)
    if not reached:
        return _failed("the point was not reached")
    if how == "stop" and url.startswith("sqlite"):
        # A file belongs to one process for as long as that lives, so nobody goes on in its place.
        os.kill(first, signal.SIGCONT)
        return dataclasses.replace(_lived(first, folder), reached=reached, points=())
    ending = _lived(_born(folder, url, scenario, None, "kill"), folder)
    if how == "stop":
        # It wakes up as a zombie: somebody else has done everything, and it does not know.
        os.kill(first, signal.SIGCONT)
        woken = _lived(first, folder)
        if not ending.error:
            late = len(woken.actions) - len(ending.actions)
            ending = woken if woken.error else dataclasses.replace(woken, late=late)
    return dataclasses.replace(ending, reached=reached, points=())


def _serve(folder: Path, state: str, requests: IO[str]) -> None:
    assert threading.active_count() == 1, "a process with threads must not fork"
    for number, line in enumerate(requests):
        with _folder(folder / f"cell-{number}") as cell:
            ending = _try(cell, state, json.loads(line))
        sys.stdout.write(json.dumps(dataclasses.asdict(ending)) + "\n")
        sys.stdout.flush()


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2], sys.stdin)
