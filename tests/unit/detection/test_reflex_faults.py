"""Faults in simulated traffic: what is found, how soon, and how many requests it cost by then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.detection.reflexes import Reflexes
from vagus.model import Finding, Subject, Symptom
from vagus.testing.evidence import stack
from vagus.testing.traffic import LIGHT, LLM, Fault, Load, Stack, Weather, watch

TOPOLOGY = stack(chat=3)
TWO = Subject("chat", "chat-2")
SEEDS = (1, 2)


def first_finding(load: Load, fault: Fault, seed: int, limit: float) -> tuple[float, int, Finding]:
    """Seconds from the fault to the first finding, requests that met it until then, and what it
    was. Nobody but the faulty replica may be found."""
    reflexes = Reflexes(lambda: TOPOLOGY)
    world = Stack(TOPOLOGY, "chat", load, seed=seed, faults=[("chat-2", fault)])
    for now, finding in watch(world, reflexes, fault.at + limit):
        assert finding.subject == TWO
        assert now > fault.at
        return now - fault.at, world.bad_requests, finding
    pytest.fail(f"nothing was found within {limit} s")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("kind", "symptoms", "within", "at_the_cost_of"),
    [
        ("refuse", {Symptom.GONE}, 0.5, 6),
        ("http-500", {Symptom.ERRORING}, 0.7, 12),
        ("garbage", {Symptom.WRONG_SHAPE}, 0.7, 12),
        ("cut", {Symptom.CUTTING}, 0.8, 12),
        ("slow", {Symptom.SLOW}, 1.6, 12),
        ("slow-tokens", {Symptom.SLOW}, 3.0, 24),
        ("hang", {Symptom.HUNG, Symptom.SLOW}, 2.2, 6),
    ],
)
def test_at_fifty_requests_a_second(
    kind: str, symptoms: set[Symptom], within: float, at_the_cost_of: int, seed: int
) -> None:
    seconds, bad, finding = first_finding(LIGHT, Fault(kind, 15.0), seed, within)
    assert finding.symptom in symptoms
    assert seconds <= within
    assert bad <= at_the_cost_of


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("kind", "symptoms"),
    [
        ("refuse", {Symptom.GONE}),
        ("http-500", {Symptom.ERRORING}),
        ("garbage", {Symptom.WRONG_SHAPE}),
        ("cut", {Symptom.CUTTING}),
        ("slow", {Symptom.SLOW}),
        ("slow-tokens", {Symptom.SLOW}),
        ("hang", {Symptom.HUNG}),
        ("nonsense", {Symptom.NONSENSE}),
    ],
)
def test_at_the_pace_of_a_language_model(kind: str, symptoms: set[Symptom], seed: int) -> None:
    """One request in three seconds and replica: probes are what finds it, once one is suspected."""
    _, bad, finding = first_finding(LLM, Fault(kind, 60.0), seed, 25.0)
    assert finding.symptom in symptoms
    assert bad <= (30 if kind == "nonsense" else 5)


@pytest.mark.parametrize("kind", ["http-500", "cut"])
def test_a_third_of_the_requests(kind: str) -> None:
    fault = Fault(kind, 15.0, share=0.34)
    _, bad, _ = first_finding(LIGHT, fault, 3, 8.0)
    assert bad <= 15


@pytest.mark.parametrize("factor", [4.0, 30.0])
def test_slow_by_other_factors(factor: float) -> None:
    fault = Fault("slow", 15.0, factor=factor)
    _, _, finding = first_finding(LIGHT, fault, 4, 8.0)
    assert finding.symptom in {Symptom.SLOW, Symptom.HUNG}


def test_one_sick_replica_is_found_on_a_busy_machine() -> None:
    """Everything is five times slower for a minute; one replica is ten times slower than that."""
    reflexes = Reflexes(lambda: TOPOLOGY)
    world = Stack(
        TOPOLOGY,
        "chat",
        replace(LIGHT, rate=20.0),
        seed=5,
        faults=[("chat-2", Fault("slow", 30.0))],
        weather=[Weather(15.0, 60.0, 5.0)],
    )
    found = [(now, f) for now, f in watch(world, reflexes, 40.0)]
    assert found
    assert {f.subject for _, f in found} == {TWO}
    assert min(now for now, _ in found) > 30.0


def test_healed_it_is_let_go() -> None:
    reflexes = Reflexes(lambda: TOPOLOGY)
    faults = [("chat-2", Fault("http-500", 15.0, until=17.0))]
    world = Stack(TOPOLOGY, "chat", LIGHT, seed=6, faults=faults)
    said = [finding for _, finding in watch(world, reflexes, 30.0)]
    assert said
    assert said[-1].closed_at is not None
    assert reflexes.open_findings() == ()
    assert reflexes.suspects() == frozenset()
