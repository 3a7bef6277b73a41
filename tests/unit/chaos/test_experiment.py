"""An experiment, on a process of this machine, with a Vagus that a test speaks for."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from vagus.chaos import processes
from vagus.chaos.experiment import Experiment
from vagus.chaos.faults import Target
from vagus.chaos.faults.signals import stop
from vagus.chaos.intents import ResilienceIntent
from vagus.chaos.plan import Plan
from vagus.chaos.result import Result, Results, Verdict
from vagus.chaos.undo import Shelf
from vagus.clock import SystemClock
from vagus.errors import TargetUnreachable
from vagus.model import Subject
from vagus.topology import Topology

TARGET, OTHER = "chat/chat-1", "embed/embed-1"


class Quick(SystemClock):
    """Waits are short; processes and their reaper are real."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 50)

    def monotonic(self) -> float:
        return super().monotonic() * 50


@dataclass
class Office:
    """A Vagus that says what the test wants to hear."""

    clock: SystemClock
    allowed: bool = True
    stopped: str | None = None
    incidents: list[dict[str, Any]] = field(default_factory=list)
    requests_per_s: float = 2.0
    failed_per_s: float = 0.0
    deaf: bool = False
    injected: Callable[[], object] = lambda: None
    ended: list[Mapping[str, object]] = field(default_factory=list)
    entries: list[dict[str, Any]] = field(default_factory=list)
    asked: int = 0

    def tell(self, event: str, workflow: str = "inc-1:1", **facts: object) -> None:
        self.entries.append(
            {
                "seq": len(self.entries) + 1,
                "at": self.clock.now(),
                "workflow": workflow,
                "event": event,
                "facts": {"subject": TARGET, **facts},
            }
        )

    def get(self, *path: str, **query: str) -> Any:
        if self.deaf:
            raise TargetUnreachable("no running Vagus answers")
        if path == ("ledger", "head"):
            return {"seq": len(self.entries)}
        if self.asked == 0:
            self.asked = 1
            self.injected()
        return {"items": self.entries[int(query["cursor"]) :], "next": None}

    def post(self, *path: str, body: Mapping[str, object]) -> Any:
        if path == ("injections",):
            guard = {"guard": "calm", "decision": "allow", "reason": "no incident is open"}
            return {
                "allowed": self.allowed,
                "reason": "kill_switch: migration (ada)",
                "guards": [guard],
                "injection": {"id": "inj-1"},
            }
        self.ended.append(body)
        return {}

    def status(self) -> Any:
        if self.deaf:
            raise TargetUnreachable("no running Vagus answers")
        vitals = {
            "requests_per_s": self.requests_per_s,
            "failed_per_s": self.failed_per_s,
            "ttft_p95": 0.2,
        }
        subjects = [Subject(*name.split("/")) for name in (TARGET, OTHER)]
        return {
            "mode": "auto",
            "stopped": self.stopped,
            "senses": {"trusted": True, "reason": ""},
            "incidents": self.incidents,
            "replicas": [
                {
                    "subject": {"component": s.component, "replica": s.replica},
                    "condition": "ok",
                    "vitals": vitals,
                }
                for s in subjects
            ],
        }

    def heals(self, *remedies: str) -> None:
        """The whole course of an incident that ends well."""
        self.tell("finding.opened", "loop", symptom="hung")
        self.tell("incident.opened", fault="replica-hung")
        for remedy in remedies:
            self.tell("decided", decision="allow", action=remedy)
            self.tell("applied", action=remedy, purpose="treat")
        self.tell("verdict", outcome="healed")
        self.tell("resolved", fault="replica-hung")


@pytest.fixture
def victim() -> Iterator[int]:
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process.pid
    process.kill()
    process.wait()


@pytest.fixture
def office() -> Office:
    return Office(Quick())


@dataclass
class Bench:
    folder: Path
    victim: int
    office: Office

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.folder / "undo")

    def experiment(self, **changes: object) -> Experiment:
        intent = ResilienceIntent.model_validate(
            {
                "name": "chat-survives-a-hang",
                "subject": "chat",
                "disturbance": "stop",
                "holds": [{"subject": "chat", "signal": "errors", "at_most": "5%"}],
                "detected_within": "20s",
                "recovered_within": "40s",
                "may": ["restart"],
                "must": ["restart"],
                **changes,
            }
        )
        note = {"component": "chat", "replica": "chat-1", "pid": self.victim,
                "began": processes.began(self.victim)}  # fmt: skip
        return Experiment(
            Plan(intent, stop, Target("chat", "chat-1"), note),
            self.office,
            Topology({}),
            self.shelf,
            Results(self.folder / "results"),
            self.office.clock,
            lambda line: None,
        )

    async def run(self, **changes: object) -> Result:
        result = await self.experiment(**changes).run()
        assert (self.shelf.all(), self.shelf.undone()) == ((), ())
        assert processes.state(self.victim) != "T"
        assert Results(self.folder / "results").all() == (result,)
        return result


@pytest.fixture
def bench(tmp_path: Path, victim: int, office: Office) -> Bench:
    return Bench(tmp_path, victim, office)


async def test_what_heals_in_time_and_as_it_must_has_passed(bench: Bench) -> None:
    bench.office.injected = lambda: bench.office.heals("restart")
    result = await bench.run()
    assert (result.verdict, result.remedies) == (Verdict.PASSED, ("restart",))
    assert result.diagnosed_rightly is True
    times = result.timeline
    assert None not in (times.first_symptom, times.detected, times.acted, times.recovered)
    assert [body["verdict"] for body in bench.office.ended] == ["passed"]


async def test_an_unwell_stack_is_left_alone(bench: Bench) -> None:
    bench.office.incidents = [
        {
            "id": "inc-7",
            "subject": {"component": "embed", "replica": "embed-1"},
            "cause": {"fault": "replica-gone"},
        }
    ]
    result = await bench.run()
    assert result.verdict is Verdict.BASELINE_NOT_MET
    assert "inc-7" in result.because
    assert (result.injected_at, bench.office.ended) == (None, [])


async def test_what_must_hold_has_to_hold_before(bench: Bench) -> None:
    bench.office.failed_per_s = 1.0
    assert (await bench.run()).verdict is Verdict.BASELINE_NOT_MET


async def test_what_the_gate_refuses_is_not_done(bench: Bench) -> None:
    bench.office.allowed = False
    result = await bench.run()
    assert (result.verdict, result.injected_at) == (Verdict.REFUSED, None)
    assert "migration" in result.because
    assert bench.office.ended == []


async def test_without_a_vagus_there_is_no_experiment(bench: Bench) -> None:
    bench.office.deaf = True
    result = await bench.run()
    assert (result.verdict, result.injected_at) == (Verdict.ERROR, None)


async def test_what_is_not_detected_deviates(bench: Bench) -> None:
    result = await bench.run(detected_within="1s", recovered_within="1s")
    assert (result.verdict, result.diagnosed_rightly) == (Verdict.DEVIATED, None)
    assert "not detected" in result.because


@pytest.mark.parametrize(
    ("remedies", "said"), [(("replace", "restart"), "may not"), ((), "without restart")]
)
async def test_another_remedy_or_none_deviates(
    bench: Bench, remedies: tuple[str, ...], said: str
) -> None:
    bench.office.injected = lambda: bench.office.heals(*remedies)
    result = await bench.run()
    assert result.verdict is Verdict.DEVIATED
    assert said in result.because


async def test_an_escalation_deviates(bench: Bench) -> None:
    def escalate() -> None:
        bench.office.tell("incident.opened", fault="replica-gone")
        bench.office.tell("escalated")

    bench.office.injected = escalate
    result = await bench.run()
    assert (result.verdict, result.diagnosed_rightly) == (Verdict.DEVIATED, False)


async def test_what_callers_were_promised_ends_it_when_it_breaks(bench: Bench) -> None:
    def fail() -> None:
        bench.office.requests_per_s, bench.office.failed_per_s = 50.0, 10.0

    bench.office.injected = fail
    result = await bench.run()
    assert result.verdict is Verdict.DEVIATED
    assert "requests to chat failed" in result.because


async def test_without_requests_nothing_was_tried(bench: Bench) -> None:
    bench.office.requests_per_s = 0.0
    bench.office.injected = lambda: bench.office.heals("restart")
    assert (await bench.run()).verdict is Verdict.INCONCLUSIVE


async def test_a_real_incident_ends_it(bench: Bench) -> None:
    bench.office.injected = lambda: bench.office.tell(
        "incident.opened", "inc-9:1", subject=OTHER, fault="replica-gone"
    )
    result = await bench.run()
    assert result.verdict is Verdict.ABORTED
    assert "inc-9" in result.because
    assert result.harmed_elsewhere == (OTHER,)


async def test_the_kill_switch_ends_it(bench: Bench) -> None:
    def pull() -> None:
        bench.office.stopped = "migration (ada)"

    bench.office.injected = pull
    result = await bench.run()
    assert (result.verdict, "migration" in result.because) == (Verdict.ABORTED, True)


async def test_a_vagus_that_is_gone_ends_it(bench: Bench) -> None:
    def vanish() -> None:
        bench.office.deaf = True

    bench.office.injected = vanish
    result = await bench.run(detected_within="1m", recovered_within="1h")
    assert (result.verdict, "nobody" in result.because) == (Verdict.ABORTED, True)


async def test_a_fault_that_somebody_took_out_ends_it(bench: Bench) -> None:
    bench.office.injected = lambda: bench.shelf.drop("inj-1")
    result = await bench.experiment().run()
    assert result.verdict is Verdict.ABORTED


async def test_ctrl_c_takes_the_fault_out_first(bench: Bench) -> None:
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    bench.office.injected = lambda: loop.call_soon_threadsafe(asked.set)
    running = asyncio.create_task(bench.experiment(detected_within="1h").run())
    await asked.wait()
    assert processes.state(bench.victim) == "T"
    running.cancel()
    result = await running
    assert (result.verdict, processes.state(bench.victim) != "T") == (Verdict.ABORTED, True)
    assert bench.shelf.all() == ()
    assert [body["verdict"] for body in bench.office.ended] == ["aborted"]


async def test_what_needs_no_healing_must_not_be_healed(bench: Bench) -> None:
    quiet = {"detected_within": None, "recovered_within": "2s", "must": [], "may": []}
    assert (await bench.run(**quiet)).verdict is Verdict.PASSED


async def test_healing_what_needs_none_deviates(bench: Bench) -> None:
    bench.office.injected = lambda: bench.office.heals("restart")
    quiet = {"detected_within": None, "recovered_within": "1m", "must": [], "may": []}
    assert (await bench.run(**quiet)).verdict is Verdict.DEVIATED
