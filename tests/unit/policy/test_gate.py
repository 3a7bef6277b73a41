from __future__ import annotations

import pytest

from vagus.config import Mode
from vagus.model import Decision, GuardRuling, Purpose, Request, SensesReport, Stop
from vagus.policy import gate
from vagus.policy.facts import Facts
from vagus.policy.gate import GUARDS, judge
from vagus.testing.cases import CHAT, a_request, some_facts
from vagus.testing.guard_cases import ALONE, OTHER_TREATED, TREATED, Held, decided_alone


def names(*guards: gate.Guard) -> list[str]:
    return [gate.name_of(guard) for guard in guards]


def test_every_guard_has_its_case() -> None:
    assert [held.guard for held in ALONE] == names(*GUARDS)


@pytest.mark.parametrize("held", ALONE, ids=lambda held: held.name)
def test_each_guard_alone_holds_its_case(held: Held) -> None:
    assert decided_alone(held), judge(held.request, held.facts).reason


def test_in_a_sound_world_a_restart_passes_and_every_answer_is_kept() -> None:
    ruling = judge(a_request(), some_facts())
    assert ruling.decision is Decision.ALLOW
    assert [said.guard for said in ruling.guards] == names(*GUARDS)
    assert all(said.reason for said in ruling.guards)


def test_the_strictest_answer_wins() -> None:
    facts = some_facts(mode=Mode.SUGGEST, stopped=Stop("ada", "no"))
    ruling = judge(a_request(), facts)
    assert ruling.decision is Decision.DENY
    assert [said.guard for said in ruling.deciding] == ["kill_switch"]
    assert judge(a_request(), some_facts(mode=Mode.SUGGEST)).decision is Decision.ASK


def test_a_guard_that_raises_denies_and_names_its_error() -> None:
    def broken(request: Request, facts: Facts) -> GuardRuling:
        raise KeyError("floor")

    ruling = judge(a_request(), some_facts(), (*GUARDS, broken))
    assert ruling.decision is Decision.DENY
    assert [said.guard for said in ruling.deciding] == ["broken"]
    assert "KeyError('floor')" in ruling.reason
    assert ruling.retry_after is None
    assert len(ruling.guards) == len(GUARDS) + 1


def test_a_gate_without_guards_lets_nothing_pass() -> None:
    assert judge(a_request(), some_facts(), ()).decision is Decision.DENY


# --- the way out stays open -----------------------------------------------------------------------

RESTORE = a_request("restore", purpose=Purpose.RETURN)
WEIGHT = a_request("weight", purpose=Purpose.RETURN, share=0.25)
UNDO = a_request("eject", purpose=Purpose.UNDO)


@pytest.mark.parametrize("request_", [RESTORE, WEIGHT, UNDO], ids=["restore", "weight", "undo"])
@pytest.mark.parametrize(
    "facts",
    [
        some_facts(stopped=Stop("ada", "no")),
        some_facts(mode=Mode.SUGGEST),
        some_facts(findings=()),
        some_facts(recent=(TREATED, OTHER_TREATED)),
    ],
    ids=["kill-switch", "suggest", "no-evidence", "treated"],
)
def test_recoveries_pass_where_treatments_may_not(request_: Request, facts: Facts) -> None:
    held = Facts(**{f: getattr(facts, f) for f in Facts.__slots__} | {"shares": {CHAT[0]: 0.0}})
    assert judge(request_, held).decision is Decision.ALLOW
    assert judge(a_request(), held).decision is not Decision.ALLOW


@pytest.mark.parametrize(
    ("purpose", "action"),
    [
        *((Purpose.RETURN, a) for a in ("restart", "replace", "eject", "drain", "format-disk")),
        *((Purpose.UNDO, a) for a in ("restart", "replace", "rollback", "format-disk")),
    ],
)
def test_nothing_becomes_a_recovery_by_being_called_one(purpose: Purpose, action: str) -> None:
    asked = a_request(action, purpose=purpose)
    for facts in (
        some_facts(stopped=Stop("ada", "no")),
        some_facts(senses=SensesReport(False, "all silent", 3, 3)),
        some_facts(epoch=None),
    ):
        assert judge(asked, facts).decision is Decision.DENY


def test_off_is_off() -> None:
    for asked in (a_request(), RESTORE, UNDO):
        assert judge(asked, some_facts(mode=Mode.OFF)).decision is Decision.DENY


def test_in_shadow_the_gate_decides_as_it_would() -> None:
    assert judge(a_request(), some_facts(mode=Mode.SHADOW)).decision is Decision.ALLOW
    blocked = some_facts(mode=Mode.SHADOW, recent=(OTHER_TREATED,))
    assert judge(a_request(), blocked).decision is Decision.DENY
