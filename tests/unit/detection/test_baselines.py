"""From ticks to findings: what is unusual for a series becomes one sentence, and what is not stays
quiet. Streams are drawn; three chat replicas and three cohorts of callers, one tick a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vagus.detection.baseline import Budget, Fleet
from vagus.detection.baseline.roster import Traits
from vagus.detection.baselines import Baselines
from vagus.model import Finding, Sense, Subject, Symptom, signals
from vagus.model.series import Column, SeriesKey
from vagus.model.signals import SIGNALS
from vagus.testing.evidence import stack

TOPOLOGY = stack(chat=3, rag=1)
REPLICAS = tuple(Subject("chat", f"chat-{n}") for n in (1, 2, 3))
COHORTS = ("free", "team", "enterprise")
LEARNING = 600
T = 1_700_000_000.0

TTFT = {r: SeriesKey(r, signals.TIME_TO_FIRST_TOKEN, Sense.GATEWAY) for r in REPLICAS}
OF_COHORT = {
    c: SeriesKey(Subject("chat"), signals.TIME_TO_FIRST_TOKEN, Sense.GATEWAY, c) for c in COHORTS
}
ASKED = {r: SeriesKey(r, signals.ATTEMPTS, Sense.GATEWAY) for r in REPLICAS}
QUEUE = {r: SeriesKey(r, signals.WAITING, Sense.SCRAPE) for r in REPLICAS}
PACE = {r: SeriesKey(r, signals.TOKEN_RATE, Sense.SCRAPE) for r in REPLICAS}
SERIES = (*TTFT.values(), *OF_COHORT.values(), *ASKED.values(), *QUEUE.values(), *PACE.values())
Altered = Callable[[int, dict[SeriesKey, float]], None]


class Scene:
    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.guarded: frozenset[Subject] = frozenset()
        self.baselines = Baselines(
            lambda: TOPOLOGY,
            Fleet(1.0, Budget(1, 604800.0), fast=None),
            traits_of=lambda signal: Traits(SIGNALS[signal].worse, SIGNALS[signal].floor),
            guarded=lambda: self.guarded,
            warm_up=30.0,
        )
        self.tick = 0
        self.changes: list[Finding] = []

    def run(self, ticks: int, alter: Altered | None = None) -> list[Finding]:
        """What changed meanwhile. ``alter`` is told the tick since now, and the values."""
        told = []
        for since in range(ticks):
            values = self._usual()
            if alter is not None:
                alter(since, values)
            column = Column(T + self.tick, SERIES, np.array([values[key] for key in SERIES]))
            self.baselines.tick(column)
            told += self.baselines.evaluate(column.at)
            self.tick += 1
        self.changes += told
        return told

    def _usual(self) -> dict[SeriesKey, float]:
        """A second in which all is well: some answers, a short queue, a steady pace."""
        noise = self.random
        values: dict[SeriesKey, float] = {}
        for replica in REPLICAS:
            asked = float(noise.poisson(2.0))
            values[ASKED[replica]] = asked
            values[TTFT[replica]] = 0.3 * noise.lognormal(0.0, 0.2) if asked else np.nan
            values[QUEUE[replica]] = float(noise.poisson(1.0))
            values[PACE[replica]] = 60.0 + 4.0 * noise.standard_normal()
        for cohort, share in zip(COHORTS, (0.9, 0.7, 0.3), strict=True):
            came = noise.random() < share
            values[OF_COHORT[cohort]] = 0.3 * noise.lognormal(0.0, 0.2) if came else np.nan
        return values


def open_of(scene: Scene) -> Mapping[tuple[Subject, Symptom], Finding]:
    return {(f.subject, f.symptom): f for f in scene.baselines.open_findings()}


def test_half_an_hour_in_which_all_is_well_raises_nothing() -> None:
    assert Scene(1).run(1800) == []


def test_a_slow_ramp_of_one_replica_is_found_and_said_in_one_sentence() -> None:
    scene = Scene()
    scene.run(LEARNING)

    def ramp(since: int, values: dict[SeriesKey, float]) -> None:
        values[TTFT[REPLICAS[1]]] *= 1.0 + since / 120.0

    scene.run(180, ramp)
    finding = open_of(scene)[REPLICAS[1], Symptom.SLOWER]
    assert set(open_of(scene)) == {(REPLICAS[1], Symptom.SLOWER)}
    assert finding.sense is Sense.GATEWAY
    assert finding.expected is not None
    assert 0.2 < finding.expected < 0.4
    assert finding.observed is not None
    assert finding.observed > 1.3 * finding.expected
    assert "time to first token at the gateway: " in finding.sentence
    assert "its 2 siblings are as usual" in finding.sentence


def test_one_cohort_that_alone_is_slow_is_named() -> None:
    scene = Scene()
    scene.run(LEARNING)

    def slow(since: int, values: dict[SeriesKey, float]) -> None:
        values[OF_COHORT["enterprise"]] *= 4.0

    scene.run(120, slow)
    assert set(open_of(scene)) == {(Subject("chat"), Symptom.SLOWER)}
    finding = open_of(scene)[Subject("chat"), Symptom.SLOWER]
    assert "cohort 'enterprise'" in finding.sentence
    assert "its 2 other cohorts are as usual" in finding.sentence


def test_a_falling_token_rate_is_found() -> None:
    scene = Scene()
    scene.run(LEARNING)

    def fall(since: int, values: dict[SeriesKey, float]) -> None:
        values[PACE[REPLICAS[0]]] -= min(30.0, since / 4)

    scene.run(120, fall)
    assert set(open_of(scene)) == {(REPLICAS[0], Symptom.DECLINING)}
    assert "pace of writing: " in open_of(scene)[REPLICAS[0], Symptom.DECLINING].sentence


def test_a_growing_queue_is_found() -> None:
    scene = Scene()
    scene.run(LEARNING)

    def grow(since: int, values: dict[SeriesKey, float]) -> None:
        values[QUEUE[REPLICAS[2]]] += since / 2

    scene.run(120, grow)
    assert set(open_of(scene)) == {(REPLICAS[2], Symptom.SATURATING)}
    assert "requests that wait: " in open_of(scene)[REPLICAS[2], Symptom.SATURATING].sentence


def all_slower(since: int, values: dict[SeriesKey, float]) -> None:
    for key in (*TTFT.values(), *OF_COHORT.values()):
        values[key] *= 3.0


def test_what_all_replicas_share_is_their_components_trouble() -> None:
    scene = Scene()
    scene.run(LEARNING)
    scene.run(120, all_slower)
    assert (Subject("chat"), Symptom.SLOWER) in open_of(scene)
    assert not [subject for subject, _ in open_of(scene) if subject.replica]


def test_a_surge_of_demand_with_the_latency_of_a_queue_is_no_finding() -> None:
    """As of arrivals that vary anyway: what was learned of load and latency holds on."""
    scene = Scene()

    def loaded(height: float) -> Altered:
        def alter(since: int, values: dict[SeriesKey, float]) -> None:
            slow = 1.0 + 0.5 * np.sin(scene.tick / 60.0) + height
            for replica in REPLICAS:
                values[ASKED[replica]] = float(scene.random.poisson(2.0 * slow))
                values[TTFT[replica]] *= slow

        return alter

    assert scene.run(2 * LEARNING, loaded(0.0)) == []
    assert scene.run(120, loaded(0.4)) == []


def test_an_outage_does_not_become_normal_while_it_has_an_incident() -> None:
    scene = Scene()
    scene.run(LEARNING)

    def slow(since: int, values: dict[SeriesKey, float]) -> None:
        values[TTFT[REPLICAS[1]]] *= 3.0

    scene.run(30, slow)
    assert (REPLICAS[1], Symptom.SLOWER) in open_of(scene)
    scene.guarded = frozenset({REPLICAS[1]})
    assert [f for f in scene.run(600, slow) if f.closed_at is not None] == []
    assert (REPLICAS[1], Symptom.SLOWER) in open_of(scene)
    closed = [f for f in scene.run(60) if f.closed_at is not None]
    assert [f.subject for f in closed] == [REPLICAS[1]]


def test_another_process_starts_without_a_record_and_is_not_judged_while_it_starts() -> None:
    scene = Scene()
    scene.run(LEARNING)

    def slow(since: int, values: dict[SeriesKey, float]) -> None:
        values[TTFT[REPLICAS[1]]] *= 3.0

    scene.run(30, slow)
    scene.baselines.forget(REPLICAS[1], T + scene.tick)
    assert [f.closed_at is not None for f in scene.run(20, slow)] == [True]
    assert scene.run(60) == []


def test_learned_twice_the_same_is_said() -> None:
    def ramp(since: int, values: dict[SeriesKey, float]) -> None:
        values[TTFT[REPLICAS[1]]] *= 1.0 + since / 60.0

    said = []
    for _ in range(2):
        scene = Scene(5)
        scene.run(LEARNING)
        said.append([finding.sentence for finding in scene.run(120, ramp)])
    assert said[0] == said[1] != []


def test_replicas_that_leave_take_their_findings_with_them() -> None:
    topology = [TOPOLOGY]
    scene = Scene()
    scene.baselines._topology = lambda: topology[0]
    scene.run(LEARNING)

    def slow(since: int, values: dict[SeriesKey, float]) -> None:
        values[TTFT[REPLICAS[2]]] *= 3.0

    scene.run(30, slow)
    topology[0] = stack(chat=2, rag=1)
    assert [f.subject for f in scene.run(1) if f.closed_at is not None] == [REPLICAS[2]]
    assert not any("chat-3" in name for name in scene.baselines.fleet.names)
