"""Plans come from playbooks, and hold only what could be carried out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vagus import config
from vagus.diagnosis.faults import FAULTS, RETRIEVAL
from vagus.errors import ConfigError
from vagus.model import Cause, Remedy, Subject, TrackRecord
from vagus.planning.plan import Playbooks
from vagus.topology import Topology

ACTIONS = (
    *("eject", "drain", "weight", "restore", "restart", "replace", "rollback"),
    *("rebuild-index", "vacuum"),
)
STACK = """
stack:
  chat:
    kind: model-server
    replicas: {chat-1: "http://127.0.0.1:8101"}
    runtime: {process: {supervisor: "http://127.0.0.1:8090"}}
  rag: {kind: pipeline, replicas: {rag-1: "http://127.0.0.1:8201"}, depends_on: [chat]}
"""
TOPOLOGY = Topology.declared(config.parse(STACK))
STEPS = (0.25, 1.0)


def untried(action: str) -> TrackRecord:
    return TrackRecord(action, "replica-slow", "chat")


def cause(component: str, fault: str = "replica-slow") -> Cause:
    return Cause(fault, Subject(component, f"{component}-1"), 0.9)


FOR_PEOPLE = {  # why must be found out first, or which of two things is to change
    *("quality-falling", "objective-burning"),
    *("embedding-mismatch", "documents-missing"),
}
OF_STORES = {fault.name for fault in RETRIEVAL} - FOR_PEOPLE  # they go on serving


def test_every_known_fault_has_a_playbook() -> None:
    books = Playbooks.load(FAULTS, ACTIONS)
    for fault in FAULTS:
        plan = books.plan(
            cause("chat", fault), TOPOLOGY, routed=True, return_steps=STEPS, record_of=untried
        )
        assert bool(plan.containment) == (fault not in FOR_PEOPLE | OF_STORES)
        treated = [remedy.action for remedy in plan.treatments]
        if fault in FOR_PEOPLE or fault == "version-regressed":
            assert treated == []
        elif fault in OF_STORES:
            assert treated[0] == "rebuild-index"
        else:
            assert treated == ["restart", "replace"]
        assert plan.return_steps == STEPS


def test_nothing_is_done_to_a_component_as_a_whole() -> None:
    """All replicas are slower, or one cohort of callers is: there is no replica to act upon."""
    books = Playbooks.load(FAULTS, ACTIONS)
    whole = Cause("latency-rising", Subject("chat"), 0.9)
    plan = books.plan(whole, TOPOLOGY, routed=True, return_steps=STEPS, record_of=untried)
    assert plan.containment == plan.treatments == ()


def test_a_regressed_version_is_rolled_back_to_the_one_before() -> None:
    books = Playbooks.load(FAULTS, ACTIONS)
    blamed = replace(cause("chat", "version-regressed"), before="v1")
    plan = books.plan(blamed, TOPOLOGY, routed=True, return_steps=STEPS, record_of=untried)
    assert plan.treatments == (Remedy("rollback", Subject("chat", "chat-1"), version="v1"),)


def test_without_a_runtime_nothing_is_restarted() -> None:
    books = Playbooks.load(FAULTS, ACTIONS)
    plan = books.plan(cause("rag"), TOPOLOGY, routed=True, return_steps=STEPS, record_of=untried)
    assert [remedy.action for remedy in plan.containment] == ["drain"]
    assert plan.treatments == ()


def test_without_a_gateway_nothing_moves_traffic() -> None:
    books = Playbooks.load(FAULTS, ACTIONS)
    plan = books.plan(cause("chat"), TOPOLOGY, routed=False, return_steps=STEPS, record_of=untried)
    assert plan.containment == ()
    assert [remedy.action for remedy in plan.treatments] == ["restart"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fault: replica-slow\ntreat: [reboot]\n", "a.yaml:2: unknown action 'reboot'"),
        ("fault: replica-sleepy\n", "unknown fault 'replica-sleepy'"),
        ("fault: replica-slow\nif: busy\n", "a.yaml:2: unknown key 'if' in a.yaml"),
        ("fault: replica-slow\nreturn: later\n", "a.yaml:2: return"),
        ("fault: [", "a.yaml:1: is not YAML"),
    ],
)
def test_a_bad_playbook_is_refused_by_name_and_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=says.replace("[", r"\[")):
        Playbooks.load(["replica-slow"], ACTIONS, folder=tmp_path)


def test_a_fault_without_a_playbook_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("fault: replica-slow\n")
    with pytest.raises(ConfigError, match="no playbook for replica-gone"):
        Playbooks.load(["replica-slow", "replica-gone"], ACTIONS, folder=tmp_path)
