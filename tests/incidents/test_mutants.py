"""The mutation run: every guard that is taken out of the gate is missed.

Each guard in turn is replaced by one that allows everything, and all cases are judged again: those
of the named incidents, replayed over real tables, and one for each guard alone. A guard whose
removal changes no outcome would be decoration, and its bugs would be nobody's.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus.model import Decision
from vagus.policy.gate import GUARDS, judge, name_of
from vagus.testing.cases import a_request, some_facts
from vagus.testing.guard_cases import (
    ALONE,
    Held,
    broken,
    decided_alone,
    killers,
    survivors,
    without,
)
from vagus.testing.incidents import cases_of, replays

HERE = Path(__file__).parent
INCIDENTS = list(replays(HERE))
GUARD_NAMES = [name_of(guard) for guard in GUARDS]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Held]]:
    """The cases of each named incident."""
    return cases_of(HERE, tmp_path_factory.mktemp("incidents"))


def test_there_are_the_ten() -> None:
    assert INCIDENTS == [
        "aws_delayed_worker",
        "aws_load_balancers",
        "azure_leap_day",
        "cloudflare_withdrawal",
        "deleted_database",
        "github_failover",
        "google_diskerase",
        "inherited_rights",
        "karpenter_freeze_and_stampede",
        "reddit_autoscaler",
    ]


@pytest.mark.parametrize("name", INCIDENTS)
def test_each_incident_is_held_by_one_guard_and_would_happen_without_it(
    name: str, cases: dict[str, list[Held]]
) -> None:
    assert cases[name]
    for case in cases[name]:
        assert case.name.startswith(name)
        assert decided_alone(case), judge(case.request, case.facts).reason
    assert any(
        judge(case.request, case.facts, without(case.guard)).decision is Decision.ALLOW
        for case in cases[name]
    )


@pytest.mark.parametrize("guard", GUARD_NAMES)
def test_a_guard_that_is_taken_out_is_missed(guard: str, cases: dict[str, list[Held]]) -> None:
    every = [*ALONE, *(case for held in cases.values() for case in held)]
    noticed = killers(guard, every)
    assert guard in noticed  # its own case
    for case in every:
        assert (case.name in noticed) == (case.guard == guard), case.name


def test_the_mutation_run_leaves_nobody(cases: dict[str, list[Held]]) -> None:
    assert survivors([*ALONE, *(case for held in cases.values() for case in held)]) == []
    assert survivors(ALONE[1:]) == [ALONE[0].guard]  # it would be seen if one were left


@pytest.mark.parametrize("guard", GUARD_NAMES)
def test_a_guard_that_raises_denies(guard: str) -> None:
    assert judge(a_request(), some_facts()).decision is Decision.ALLOW
    ruling = judge(a_request(), some_facts(), broken(guard))
    assert ruling.decision is Decision.DENY
    assert [said.guard for said in ruling.deciding] == [guard]
    assert len(ruling.guards) == len(GUARDS)
