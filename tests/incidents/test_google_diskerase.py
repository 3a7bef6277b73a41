"""Google, Diskerase: an empty set became everything.

A job was to erase the disks of decommissioned machines. Its list came out empty, an empty list
meant "no restriction", and every disk of the site was erased. Here a selection that names no
replica names nobody.
"""

from __future__ import annotations

from vagus.model import Decision, IntentState, Purpose, Subject
from vagus.testing.gate_bench import GateBench, asked
from vagus.testing.guard_cases import Held

NO_REPLICA = Subject("chat", "")
NO_COMPONENT = Subject("", "")


def replay(bench: GateBench) -> list[Held]:
    cases = []
    for target in (NO_REPLICA, NO_COMPONENT):
        incident = bench.incident(target)
        for action, purpose in (("eject", Purpose.CONTAIN), ("restart", Purpose.TREAT)):
            request = asked(incident, action, purpose=purpose)
            cases.append(bench.case("target_bounded", request, f"google_diskerase: {action}"))
    return cases


def test_an_empty_selection_is_nobody(bench: GateBench) -> None:
    for case in replay(bench):
        intent = bench.decide(case.request)
        assert intent.state is IntentState.REFUSED
        assert intent.ruling.decision is Decision.DENY
        assert "must never mean all of them" in intent.ruling.reason
    assert bench.overrides.all() == []
