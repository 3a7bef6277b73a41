"""What a fault that is put in on purpose has to pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from vagus._units import Rate
from vagus.config import Kind, Mode, PolicySettings
from vagus.model import Decision, GuardRuling, Incident, Injection, Ruling, Stop, Subject
from vagus.policy.facts import Facts
from vagus.policy.gate import name_of
from vagus.policy.injections import Around, guards, judge_injection
from vagus.testing.gate_bench import GateBench, gate_bench

CHAT1 = Subject("chat", "chat-1")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[GateBench]:
    with gate_bench(tmp_path) as bench:
        yield bench


def injection(bench: GateBench, target: Subject = CHAT1, cap: float = 0.5) -> Injection:
    return Injection(
        "inj-1", "exp-1", "kill", target, "SIGKILL to 7", 60.0, cap, "ada", bench.clock.now()
    )


def around(**changes: object) -> Around:
    calm = Around(incidents=(), open=(), recent=(), budget=Rate(count=2, period=3600.0), cap=0.5)
    return replace(calm, **changes)  # type: ignore[arg-type]


def facts(bench: GateBench, asked: Injection, **changes: object) -> Facts:
    return replace(bench.facts(asked.request), **changes)  # type: ignore[arg-type]


def ruled(bench: GateBench, about: Around | None = None, **changes: object) -> Ruling:
    asked = injection(bench)
    return judge_injection(asked.request, facts(bench, asked, **changes), about or around())


def said(ruling: Ruling, guard: str) -> GuardRuling:
    return next(answer for answer in ruling.guards if answer.guard == guard)


def test_on_a_calm_stack_it_is_let_in_and_every_guard_was_asked(bench: GateBench) -> None:
    ruling = ruled(bench)
    assert ruling.decision is Decision.ALLOW
    assert [answer.guard for answer in ruling.guards] == [name_of(g) for g in guards(around())]


def test_the_kill_switch(bench: GateBench) -> None:
    ruling = ruled(bench, stopped=Stop("ada", "migration"))
    assert ruling.decision is Decision.DENY
    assert "migration" in said(ruling, "kill_switch").reason


@pytest.mark.parametrize("mode", Mode)
def test_only_off_forbids_what_a_person_started(bench: GateBench, mode: Mode) -> None:
    allowed = ruled(bench, mode=mode).decision is Decision.ALLOW
    assert allowed is (mode is not Mode.OFF)


def test_a_real_incident(bench: GateBench, real: Incident) -> None:
    ruling = ruled(bench, around(incidents=(real,)))
    assert ruling.decision is Decision.DENY
    assert real.id in said(ruling, "calm").reason


@pytest.fixture
def real(bench: GateBench) -> Incident:
    from vagus.model import Cause

    subject = Subject("embed", "embed-1")
    return bench.incidents.open(subject, Cause("replica-hung", subject, 0.9, "stands still"), [])


def test_another_experiment(bench: GateBench) -> None:
    other = replace(injection(bench), id="inj-0", asked_at=bench.clock.now() - 20.0)
    ruling = ruled(bench, around(open=(other,)))
    assert ruling.decision is Decision.DENY
    assert said(ruling, "alone").retry_after == pytest.approx(40.0)


def test_a_full_budget_says_when_a_place_is_free(bench: GateBench) -> None:
    now = bench.clock.now()
    spent = [replace(injection(bench), asked_at=now - ago) for ago in (1800.0, 600.0)]
    ruling = ruled(bench, around(recent=spent))
    assert ruling.decision is Decision.DENY
    assert said(ruling, "chaos_budget").retry_after == pytest.approx(1800.0)
    assert ruled(bench, around(recent=spent[:1])).decision is Decision.ALLOW


@pytest.mark.parametrize("target", [Subject(""), Subject("chat"), Subject("chat", "chat-99")])
def test_an_empty_or_unknown_target(bench: GateBench, target: Subject) -> None:
    asked = injection(bench, target)
    ruling = judge_injection(asked.request, facts(bench, asked), around())
    assert ruling.decision is Decision.DENY
    assert said(ruling, "target_bounded").decision is Decision.DENY


def test_the_cap_of_the_intent(bench: GateBench) -> None:
    ruling = ruled(bench, around(cap=0.1))
    assert said(ruling, "blast_cap").decision is Decision.DENY


def test_the_capacity_floor_holds_for_experiments_too(bench: GateBench) -> None:
    ruling = ruled(bench, around(cap=1.0), policy=PolicySettings(floor=1.0))
    assert said(ruling, "capacity_floor").decision is Decision.DENY


def test_what_keeps_data_is_asked_of_people(bench: GateBench) -> None:
    assert ruled(bench, kind=Kind.VECTOR_STORE).decision is Decision.ASK
    assert ruled(bench, policy=PolicySettings(production=True)).decision is Decision.ALLOW


def test_a_guard_that_raises_denies(bench: GateBench) -> None:
    ruling = ruled(bench, around(recent=None))
    assert ruling.decision is Decision.DENY
    assert "broke" in said(ruling, "chaos_budget").reason


def test_on_trial_is_who_acts_on_the_replica_that_is_broken_on_purpose(bench: GateBench) -> None:
    bench.injections.decide(injection(bench), lambda: Ruling(Decision.ALLOW, ()))
    here = injection(bench).request
    there = injection(bench, Subject("chat", "chat-2")).request
    assert (bench.facts(here).experiment, bench.facts(there).experiment) == ("inj-1", "")
    bench.clock.advance(61.0)
    assert bench.facts(here).experiment == ""
