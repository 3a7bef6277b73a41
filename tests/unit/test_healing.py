"""The healing workflow, from plan to verdict, on the real state and the real workflow engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from vagus import healing
from vagus.model import (
    Cause,
    Decision,
    Endpoint,
    GuardRuling,
    Incident,
    IncidentState,
    IntentState,
    Outcome,
    Plan,
    Remedy,
    Sense,
    Subject,
    Symptom,
    Tier,
    Trial,
)
from vagus.remediation.action import Order
from vagus.testing.bench import CHAT_2, Bench
from vagus.testing.world import SmallWorld


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(healing, "LOOK_EVERY", 0.02)
    made = Bench(tmp_path)
    yield made
    made.close()


def test_contained_restarted_verified_and_returned_by_steps(bench: Bench) -> None:
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.RESOLVED
    assert bench.done(incident) == [
        ("eject", IntentState.APPLIED),
        ("restart", IntentState.APPLIED),
        ("weight", IntentState.APPLIED),
        ("restore", IntentState.APPLIED),
    ]
    assert bench.world.endpoint("chat-2").health == "healthy"
    assert bench.world.endpoint("chat-2").share == 1.0
    assert bench.overrides.all() == []
    assert len(bench.world.replicas_by_name["chat-2"].restarts) == 1
    assert bench.ledger.verify() == []


def test_every_workflow_runs_once_however_often_it_is_started(bench: Bench) -> None:
    incident = bench.sicken()
    for _ in range(3):
        bench.healer.ensure(incident.id, incident.epoch)
    bench.heal(incident)
    bench.healer.ensure(incident.id, incident.epoch)
    assert len(bench.world.replicas_by_name["chat-2"].restarts) == 1


def test_what_a_restart_does_not_heal_is_replaced(bench: Bench) -> None:
    incident = bench.heal(bench.sicken(until=None))
    assert incident.state is IncidentState.RESOLVED
    assert [action for action, _ in bench.done(incident)][:3] == ["eject", "restart", "replace"]
    assert "chat-2" not in bench.world.replicas_by_name
    assert bench.world.endpoint("chat-4").share == 1.0
    assert {e.replica for e in bench.world.traffic["chat"]} == {"chat-1", "chat-3", "chat-4"}


def test_shadow_decides_and_touches_nothing(bench: Bench) -> None:
    bench.shadow = True
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.SHADOWED
    assert bench.done(incident) == [
        ("eject", IntentState.SHADOW),
        ("restart", IntentState.SHADOW),
    ]
    assert bench.world.operations == []
    assert bench.world.replicas_by_name["chat-2"].restarts == []
    assert "would have done eject, then restart" in incident.note


def test_a_refused_containment_escalates_and_treats_nothing(bench: Bench) -> None:
    bench.deny["eject"] = GuardRuling("capacity-floor", Decision.DENY, "1 of 3 would be left", 5.0)
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.ESCALATED
    assert "1 of 3 would be left" in incident.note
    assert incident.retry_at is not None
    assert bench.done(incident) == [("eject", IntentState.REFUSED)]
    assert bench.world.replicas_by_name["chat-2"].restarts == []


def test_a_treatment_waits_for_a_refusal_that_time_lifts(bench: Bench) -> None:
    bench.deny["restart"] = GuardRuling("evidence", Decision.DENY, "one sense only", 0.05)
    incident = bench.sicken()
    bench.healer.ensure(incident.id, incident.epoch)
    deadline = bench.clock.monotonic() + 10
    while ("restart", IntentState.REFUSED) not in bench.done(incident):
        assert bench.clock.monotonic() < deadline
    bench.deny.clear()
    assert bench.heal(incident).state is IncidentState.RESOLVED
    assert ("restart", IntentState.APPLIED) in bench.done(incident)


def until(bench: Bench, condition: Callable[[], object]) -> None:
    deadline = bench.clock.monotonic() + 60
    while not condition():
        assert bench.clock.monotonic() < deadline
        time.sleep(0.005)


def looks(bench: Bench, incident: Incident) -> list[str]:
    """The steps that its workflow has taken, by name."""
    steps = healing.DBOS.list_workflow_steps(incident.workflow_id)
    return [step["function_name"].rpartition(".")[2] for step in steps]


def flap(bench: Bench, incident: Incident) -> None:
    """It is found, and found no more, until its workflow has had enough."""
    while bench.incidents.get(incident.id).state is IncidentState.OPEN:
        bench.close_findings(incident)
        time.sleep(0.05)
        bench.find(incident, Symptom.GONE, Sense.SCRAPE)
        time.sleep(0.05)


def test_evidence_that_goes_away_while_waiting_needs_no_treatment(bench: Bench) -> None:
    bench.deny["restart"] = GuardRuling("evidence", Decision.DENY, "one sense only", 0.05)
    incident = bench.sicken()
    bench.healer.ensure(incident.id, incident.epoch)
    deadline = bench.clock.monotonic() + 10
    while ("restart", IntentState.REFUSED) not in bench.done(incident):
        assert bench.clock.monotonic() < deadline
    bench.world.replicas_by_name["chat-2"].sick_until = None
    bench.close_findings(incident)
    assert bench.heal(incident).state is IncidentState.RESOLVED
    assert bench.world.replicas_by_name["chat-2"].restarts == []
    assert bench.overrides.all() == []


def test_evidence_that_goes_away_and_comes_back_spends_no_treatment(bench: Bench) -> None:
    """A replica is gone while it gets a new version, comes back, and talks nonsense."""
    bench.deny["restart"] = GuardRuling("warm_up", Decision.DENY, "it may be starting", 0.05)
    incident = bench.sicken()
    bench.healer.ensure(incident.id, incident.epoch)
    until(bench, lambda: ("restart", IntentState.REFUSED) in bench.done(incident))
    bench.close_findings(incident)
    until(bench, lambda: "look" in looks(bench, incident)[-1:])
    bench.deny.clear()
    bench.find(incident, Symptom.NONSENSE, Sense.PROBE)
    assert bench.heal(incident).state is IncidentState.RESOLVED
    treated = [name for name, state in bench.done(incident) if state is IntentState.APPLIED]
    assert treated == ["eject", "restart", "weight", "restore"]


def test_evidence_that_comes_and_goes_for_ever_is_a_matter_for_people(bench: Bench) -> None:
    bench.deny["restart"] = GuardRuling("evidence", Decision.DENY, "one sense only", 0.02)
    bench.deny["replace"] = bench.deny["restart"]
    incident = bench.sicken()
    bench.healer.ensure(incident.id, incident.epoch)
    until(bench, lambda: ("eject", IntentState.APPLIED) in bench.done(incident))
    flaps = threading.Thread(target=flap, args=(bench, incident))
    flaps.start()
    try:
        ended = bench.heal(incident)
    finally:
        flaps.join()
    assert ended.state is IncidentState.ESCALATED
    assert bench.world.replicas_by_name["chat-2"].restarts == []


def test_when_nothing_helps_a_person_is_asked_and_traffic_stays_away(bench: Bench) -> None:
    bench.deny["replace"] = GuardRuling("budget", Decision.DENY, "spent")
    incident = bench.heal(bench.sicken(until=None))
    assert incident.state is IncidentState.ESCALATED
    assert bench.world.endpoint("chat-2").health == "unhealthy"


def test_callers_that_fail_on_return_take_traffic_away_again(bench: Bench) -> None:
    bench.world.callers_fail = True
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.ESCALATED
    assert [action for action, _ in bench.done(incident)] == [
        *("eject", "restart", "weight", "eject"),
        *("replace", "weight", "eject"),
    ]
    assert bench.world.endpoint("chat-4").health == "unhealthy"


def test_a_kill_switch_that_was_set_after_the_ruling_stops_the_action(bench: Bench) -> None:
    bench.stop_reason = "release freeze"
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.ESCALATED
    assert "release freeze" in incident.note
    assert bench.world.operations == []


def test_a_gateway_that_refuses_is_tried_twice_and_escalated(bench: Bench) -> None:
    bench.world.refuse = "listener gone"
    incident = bench.heal(bench.sicken())
    assert incident.state is IncidentState.ESCALATED
    assert "listener gone" in incident.note
    assert bench.done(incident) == [("eject", IntentState.FAILED)] * 2


def test_a_later_epoch_supersedes_the_workflow(bench: Bench) -> None:
    incident = bench.sicken()
    bench.incidents.update(incident, new_epoch=True)
    bench.healer.ensure(incident.id, incident.epoch)
    assert healing.DBOS.retrieve_workflow(incident.workflow_id).get_result() == "superseded"
    assert bench.done(incident) == []


def test_an_escalated_incident_whose_evidence_went_away_gives_traffic_back(bench: Bench) -> None:
    bench.deny["replace"] = GuardRuling("budget", Decision.DENY, "spent")
    incident = bench.heal(bench.sicken(until=None))
    assert incident.state is IncidentState.ESCALATED
    bench.world.replicas_by_name["chat-2"].sick_until = None  # a person mended it
    bench.close_findings(incident)
    again = bench.incidents.update(incident, state=IncidentState.OPEN, new_epoch=True)
    assert bench.heal(again).state is IncidentState.RESOLVED
    assert bench.world.endpoint("chat-2").health == "healthy"
    assert bench.overrides.all() == []


def test_an_escalated_incident_that_held_nothing_back_just_ends(bench: Bench) -> None:
    bench.deny["eject"] = GuardRuling("capacity-floor", Decision.DENY, "1 of 3 would be left", 5.0)
    incident = bench.heal(bench.sicken())
    bench.close_findings(incident)
    again = bench.incidents.update(incident, state=IncidentState.OPEN, new_epoch=True)
    assert bench.heal(again).state is IncidentState.SUBSIDED
    assert bench.done(incident) == [("eject", IntentState.REFUSED)]


# --- what is learned ------------------------------------------------------------------------------


def outcomes(bench: Bench) -> list[tuple[str, Outcome]]:
    return [(trial.action, trial.outcome) for trial in reversed(bench.trials.all())]


def test_every_treatment_with_a_verdict_is_a_trial(bench: Bench) -> None:
    bench.heal(bench.sicken(until=None))
    assert outcomes(bench) == [("restart", Outcome.UNCHANGED), ("replace", Outcome.HEALED)]


def test_what_was_not_treated_is_no_trial(bench: Bench) -> None:
    bench.deny["restart"] = bench.deny["replace"] = GuardRuling("budget", Decision.DENY, "spent")
    bench.heal(bench.sicken())
    assert outcomes(bench) == []


def test_what_callers_still_suffer_from_was_not_healed(bench: Bench) -> None:
    bench.world.callers_fail = True
    bench.heal(bench.sicken())
    assert set(outcomes(bench)) == {("restart", Outcome.UNCHANGED), ("replace", Outcome.UNCHANGED)}


def test_traffic_that_can_not_be_returned_says_nothing_of_the_treatment(bench: Bench) -> None:
    bench.deny["weight"] = GuardRuling("mode", Decision.DENY, "off: nothing is done")
    bench.heal(bench.sicken())
    assert outcomes(bench) == []


def test_experience_changes_the_next_plan(bench: Bench) -> None:
    for n in range(9):
        for action, outcome in (("restart", Outcome.UNCHANGED), ("replace", Outcome.HEALED)):
            token, at = f"{action}-{n}", bench.clock.now()
            bench.trials.record(
                Trial(token, at, action, "replica-gone", CHAT_2, "default", outcome, 1.0)
            )
    incident = bench.heal(bench.sicken(until="replace"))
    treated = [name for name, _ in bench.done(incident) if name in ("restart", "replace")]
    assert treated == ["replace"]
    planned = next(e for e in bench.ledger.entries() if e.event == "planned")
    assert planned.facts["ladder"] == ["eject", "replace", "restart"]
    assert "restart healed 0 of 9" in str(planned.facts["reasons"])


def test_shadow_that_is_chosen_midway_strands_no_traffic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was taken is given back, whatever the mode is by then."""
    monkeypatch.setattr(healing, "LOOK_EVERY", 0.02)
    bench = Bench(tmp_path)
    try:
        forget = bench._forget

        def restarted(subject: Subject, at: float) -> None:
            bench.shadow = True
            forget(subject, at)

        object.__setattr__(bench.healer._hands, "forget", restarted)
        incident = bench.heal(bench.sicken())
        assert incident.state is IncidentState.RESOLVED
        assert bench.overrides.all() == []
        assert bench.world.endpoint("chat-2").health == "healthy"
    finally:
        bench.close()


def test_shadow_that_is_chosen_before_the_treatment_leaves_it_to_people(bench: Bench) -> None:
    bench.deny["restart"] = GuardRuling("evidence", Decision.DENY, "one sense only", 0.05)
    incident = bench.sicken()
    bench.healer.ensure(incident.id, incident.epoch)
    deadline = bench.clock.monotonic() + 60
    while ("restart", IntentState.REFUSED) not in bench.done(incident):
        assert bench.clock.monotonic() < deadline
    bench.shadow = True
    bench.deny.clear()
    ended = bench.heal(incident)
    assert ended.state is IncidentState.ESCALATED
    assert "still held back" in ended.note
    assert bench.world.replicas_by_name["chat-2"].restarts == []


class Tuning:
    """A treatment that can be taken back. It ends the sickness, and callers pay for it."""

    name, tier, moves_traffic, undoable = "tune", Tier.R1, False, True

    def __init__(self, world: SmallWorld, *, jammed: bool = False) -> None:
        self._world, self._jammed = world, jammed
        self.undone = 0

    async def apply(self, order: Order) -> None:
        self._world.callers_fail = True
        self._world.replicas_by_name["chat-2"].sick_until = None

    async def confirm(self, order: Order) -> bool | None:
        return self._world.callers_fail

    async def undo(self, order: Order) -> None:
        self.undone += 1
        if not self._jammed:
            self._world.callers_fail = False
            self._world.replicas_by_name["chat-2"].sick_until = "restart"


@dataclass(frozen=True)
class TuneThenRestart:
    """A playbook that keeps nobody away, so that callers can say that it became worse."""

    def plan(self, cause: Cause, *_: object, **__: object) -> Plan:
        treatments = tuple(Remedy(action, cause.subject) for action in ("tune", "restart"))
        return Plan(cause.fault, cause.subject, (), treatments)


def a_bench_that_tunes(tmp_path: Path, *, jammed: bool = False) -> tuple[Bench, Tuning]:
    bench = Bench(tmp_path)
    tuning = Tuning(bench.world, jammed=jammed)
    hands = bench.healer._hands
    object.__setattr__(hands, "playbooks", TuneThenRestart())
    hands.actions["tune"] = tuning  # type: ignore[index]
    bench.world.traffic["chat"] = (Endpoint("chat-2", "http://127.0.0.1:9102"),)
    return bench, tuning


def test_what_made_it_worse_is_taken_back_before_anything_else_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "LOOK_EVERY", 0.02)
    bench, tuning = a_bench_that_tunes(tmp_path)
    try:
        incident = bench.heal(bench.sicken())
        assert incident.state is IncidentState.RESOLVED
        assert tuning.undone == 1
        assert bench.done(incident) == [
            ("tune", IntentState.UNDONE),
            ("tune", IntentState.APPLIED),
            ("restart", IntentState.APPLIED),
        ]
        assert outcomes(bench)[0] == ("tune", Outcome.WORSE)
    finally:
        bench.close()


def test_what_can_not_be_taken_back_is_a_matter_for_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "LOOK_EVERY", 0.02)
    bench, tuning = a_bench_that_tunes(tmp_path, jammed=True)
    try:
        incident = bench.heal(bench.sicken())
        assert incident.state is IncidentState.ESCALATED
        assert incident.note == "tune was not taken back: it is still in force"
        assert tuning.undone == 2
        assert bench.world.replicas_by_name["chat-2"].restarts == []
    finally:
        bench.close()
