"""Experience moves a treatment only where the record is clear, and says why."""

from __future__ import annotations

from collections.abc import Mapping

from vagus.config import Kind
from vagus.diagnosis.faults import FAULTS
from vagus.model import Cause, Outcome, Remedy, Subject, TrackRecord, Trial
from vagus.planning.plan import Playbooks
from vagus.planning.track_record import arrange
from vagus.remediation import NAMES
from vagus.topology import ComponentNode, Topology

CHAT_1 = Subject("chat", "chat-1")
LADDER = [Remedy("restart", CHAT_1), Remedy("replace", CHAT_1), Remedy("rebuild", CHAT_1)]


def record(action: str, healed: int, of: int) -> TrackRecord:
    outcomes = [Outcome.HEALED] * healed + [Outcome.UNCHANGED] * (of - healed)
    trials = [
        Trial(str(n), float(n), action, "slow", CHAT_1, "default", outcome, 9.0)
        for n, outcome in enumerate(outcomes)
    ]
    return TrackRecord.of(action, "slow", "chat", trials)


def order(known: Mapping[str, tuple[int, int]]) -> tuple[list[str], tuple[str, ...]]:
    arranged, reasons = arrange(LADDER, lambda action: record(action, *known.get(action, (0, 0))))
    return [remedy.action for remedy in arranged], reasons


def test_without_experience_the_playbook_stands() -> None:
    assert order({}) == (["restart", "replace", "rebuild"], ())


def test_a_little_bad_luck_moves_nothing() -> None:
    assert order({"restart": (0, 2), "replace": (2, 2)}) == (["restart", "replace", "rebuild"], ())


def test_what_clearly_fails_goes_behind_what_clearly_heals() -> None:
    names, reasons = order({"restart": (0, 8), "replace": (8, 8)})
    assert names == ["replace", "restart", "rebuild"]
    (reason,) = reasons
    assert "restart healed 0 of 8" in reason
    assert "replace healed 8 of 8" in reason


def test_what_was_never_tried_keeps_its_place_before_what_is_put_behind() -> None:
    names, _ = order({"restart": (0, 8), "rebuild": (8, 8)})
    assert names == ["replace", "rebuild", "restart"]


def test_a_bad_record_alone_moves_nothing() -> None:
    """Nothing else is known to be better."""
    assert order({"restart": (0, 50)})[0] == ["restart", "replace", "rebuild"]


def test_two_good_remedies_keep_the_playbooks_order() -> None:
    assert order({"restart": (40, 50), "replace": (50, 50)})[0][:2] == ["replace", "restart"]
    assert order({"restart": (48, 50), "replace": (50, 50)})[0][:2] == ["restart", "replace"]


def test_the_plan_of_a_fault_follows_its_record() -> None:
    chat = ComponentNode(
        name="chat",
        kind=Kind.MODEL_SERVER,
        engine="generic",
        replicas={"chat-1": "http://127.0.0.1:9"},
        restartable=True,
    )
    plan = Playbooks.load(FAULTS, NAMES).plan(
        Cause("replica-hung", CHAT_1, 0.9),
        Topology({"chat": chat}),
        routed=True,
        return_steps=(1.0,),
        record_of=lambda action: record(action, *((0, 9) if action == "restart" else (9, 9))),
    )
    assert [remedy.action for remedy in plan.treatments] == ["replace", "restart"]
    assert len(plan.reasons) == 1
