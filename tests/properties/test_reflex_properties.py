"""Whatever comes, in whatever order: never a crash, never more memory, never a hasty finding."""

from __future__ import annotations

import dataclasses
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.detection import defaults
from vagus.detection.reflexes import Reflexes
from vagus.model import Attempt, Evidence, Failure, Phase, Probe, Scrape, Sense, Subject, Symptom
from vagus.testing.evidence import answer, probe, stack
from vagus.testing.traffic import LIGHT, Fault, Stack

TOPOLOGY = stack(chat=3, embed=2, rag=1)
SUBJECTS = [*TOPOLOGY.replicas(), Subject("chat", "stranger")]
T = 1_700_000_000.0

times = st.floats(T - 100, T + 100)
seconds = st.floats(0, 30)
failures = st.one_of(st.none(), st.sampled_from(Failure))
subjects = st.sampled_from(SUBJECTS)

attempts = st.builds(
    Attempt,
    subject=subjects,
    id=st.sampled_from([f"r{n}" for n in range(8)]),
    phase=st.sampled_from(Phase),
    at=times,
    started_at=times,
    failure=failures,
    status=st.one_of(st.none(), st.sampled_from([0, 200, 204, 404, 429, 500, 503])),
    time_to_first_token=st.one_of(st.none(), st.floats(-1, 30), st.just(float("nan"))),
    duration=st.one_of(seconds, st.just(float("inf"))),
    received_bytes=st.integers(0, 10**9),
    content_type=st.sampled_from(["", "text/html", "application/json", ";;"]),
    path=st.sampled_from(["", "/v1/chat/completions", "/health"]),
)
probes = st.builds(
    Probe,
    subject=subjects,
    at=times,
    failure=failures,
    time_to_first_token=st.one_of(st.none(), seconds),
    time_per_token=st.one_of(st.none(), seconds),
    duration=seconds,
    answer=st.text(max_size=60),
)
scrapes = st.builds(
    Scrape,
    subject=subjects,
    at=times,
    failure=failures,
    values=st.dictionaries(
        st.sampled_from([defaults.RUNNING, defaults.WAITING, defaults.STEPS]),
        st.one_of(st.floats(0, 100), st.just(float("nan"))),
    ),
    sense=st.sampled_from([Sense.SCRAPE, Sense.GATEWAY]),
)
evidence = st.one_of(attempts, probes, scrapes)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.lists(evidence, max_size=12), times), max_size=25))
def test_any_evidence_in_any_order(batches: list[tuple[list[Evidence], float]]) -> None:
    reflexes = Reflexes(lambda: TOPOLOGY)
    open_keys: dict[str, float] = {}
    for batch, now in batches:
        reflexes.observe(batch)
        for finding in reflexes.evaluate(now):
            assert finding.sentence
            if finding.closed_at is None:
                open_keys[finding.key] = finding.opened_at
            else:
                assert open_keys.pop(finding.key) == finding.opened_at
        assert {f.key for f in reflexes.open_findings()} == open_keys.keys()
        sick = [f for f in reflexes.open_findings() if f.symptom is not Symptom.SILENT]
        assert {f.subject for f in sick} <= reflexes.suspects()
        assert reflexes.suspects() <= set(TOPOLOGY.replicas())


@settings(max_examples=100, deadline=None)
@given(subjects, st.sampled_from(Failure), st.integers(1, 40), st.booleans())
def test_one_bad_row_never_opens_a_finding(
    subject: Subject, failure: Failure, repeats: int, warm: bool
) -> None:
    """However often the log hands it out, and however long it stays the last one."""
    reflexes = Reflexes(lambda: TOPOLOGY)
    if warm:
        for n in range(40):
            reflexes.observe([answer(s, T - 5 + n / 10) for s in SUBJECTS])
            assert reflexes.evaluate(T - 5 + n / 10) == []
    row = answer(subject, T, failure, id="the only one")
    for n in range(repeats):
        reflexes.observe([row])
        assert reflexes.evaluate(T + n) == []


@settings(max_examples=100, deadline=None)
@given(subjects, st.sampled_from(Failure), st.integers(1, 20))
def test_one_bad_probe_never_opens_a_finding(
    subject: Subject, failure: Failure, repeats: int
) -> None:
    reflexes = Reflexes(lambda: TOPOLOGY)
    bad = probe(subject, T, failure)
    for n in range(repeats):
        reflexes.observe([bad])
        assert reflexes.evaluate(T + n) == []


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["http-500", "cut", "garbage", "refuse"]))
def test_rows_out_of_order_say_the_same(seed: int, kind: str) -> None:
    """Within what a poll reads at once, the order of rows is of no account, nor are repeats."""
    chance = random.Random(seed)
    worlds = [
        Stack(TOPOLOGY, "chat", LIGHT, seed=seed, faults=[("chat-2", Fault(kind, 6.0))])
        for _ in range(2)
    ]
    straight, shaken = Reflexes(lambda: TOPOLOGY), Reflexes(lambda: TOPOLOGY)
    for step in range(1, 81):
        now = step * 0.1
        first, second = (world.advance(now) for world in worlds)
        rows = [e for e in second if isinstance(e, Attempt)]
        second = second + rows
        chance.shuffle(second)
        straight.observe(first)
        shaken.observe(second)
        straight.evaluate(now)
        shaken.evaluate(now)
    one, other = straight.open_findings(), shaken.open_findings()
    assert one
    assert {f.key for f in one} == {f.key for f in other}


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10_000))
def test_memory_is_bounded_whatever_comes(seed: int) -> None:
    """Attempts that never end, that end unseen, probes and scrapes without end."""
    chance = random.Random(seed)
    reflexes = Reflexes(lambda: TOPOLOGY)
    members = TOPOLOGY.replicas()
    for n in range(6_000):
        subject, at = chance.choice(members), T + n / 1000
        row = answer(subject, at, chance.choice([None, *Failure]))
        started = dataclasses.replace(row, id=f"s{n}", phase=Phase.STARTED, started_at=at)
        scraped = Scrape(subject, at, chance.choice([None, *Failure]))
        reflexes.observe([row, started, probe(subject, at), scraped])
    reflexes.evaluate(T + 6)
    for memory in reflexes._replicas.values():
        assert len(memory.answers) <= defaults.MEMORY_ANSWERS
        assert len(memory.in_flight) <= defaults.MEMORY_IN_FLIGHT
        assert len(memory.probes) <= defaults.MEMORY_PROBES
        assert len(memory.scrapes) <= defaults.MEMORY_SCRAPES
        assert len(memory._ended) <= defaults.MEMORY_ENDED_IDS


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(Failure), st.integers(0, 1000))
def test_every_finding_closes_once_health_is_shown(failure: Failure, seed: int) -> None:
    chance = random.Random(seed)
    reflexes = Reflexes(lambda: TOPOLOGY)
    sick = Subject("chat", "chat-2")
    now = T
    for _ in range(60):
        now += chance.uniform(0.05, 0.3)
        kind = chance.choice([answer, probe])
        reflexes.observe([kind(sick, now, failure), Scrape(sick, now, failure)])
        reflexes.evaluate(now)
    assert reflexes.open_findings()
    for _ in range(60):
        now += chance.uniform(0.1, 0.3)
        reflexes.observe([answer(sick, now), probe(sick, now), Scrape(sick, now)])
        reflexes.evaluate(now)
    assert reflexes.open_findings() == ()
