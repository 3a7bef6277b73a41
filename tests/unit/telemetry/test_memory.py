"""What verification is told: only what began since, in a row, by replicas that are there."""

from __future__ import annotations

import threading

import pytest

from vagus.config import Kind
from vagus.model import Attempt, Failure, Phase, Probe, Subject
from vagus.telemetry.memory import ATTEMPTS, PROBES, Memory
from vagus.topology import ComponentNode, Topology

CHAT_1, CHAT_2, CHAT_3 = (Subject("chat", f"chat-{n}") for n in (1, 2, 3))


def stack(*subjects: Subject) -> Topology:
    replicas = {s.replica: f"http://127.0.0.1:{31000 + i}" for i, s in enumerate(subjects)}
    return Topology({"chat": ComponentNode("chat", Kind.MODEL_SERVER, "llama.cpp", replicas)})


@pytest.fixture
def memory() -> Memory:
    topology = stack(CHAT_1, CHAT_2, CHAT_3)
    return Memory(lambda: topology)


def probe(
    at: float, failure: Failure | None = None, ttft: float | None = 0.1, took: float = 0.5
) -> Probe:
    return Probe(CHAT_1, at, failure, time_to_first_token=ttft, duration=took)


def attempt(started_at: float, failure: Failure | None = None, **others: object) -> Attempt:
    shape = {"content_type": "text/event-stream", "phase": Phase.ENDED, **others}
    return Attempt(
        CHAT_1,
        f"{started_at}",
        at=started_at + 1,
        started_at=started_at,
        failure=failure,
        **shape,  # type: ignore[arg-type]
    )


def test_good_probes_in_a_row_since_the_last_bad_one(memory: Memory) -> None:
    memory.observe([probe(11), probe(12, Failure.TIMEOUT), probe(13, ttft=0.3), probe(14)])
    memory.observe([probe(15)])
    seen = memory.observed(CHAT_1, since=10)
    assert seen.probes_ok_in_a_row == 3
    assert seen.ok_since == 13
    assert seen.probes_failed == 1
    assert seen.last_failure is Failure.TIMEOUT
    assert seen.time_to_first_token == 0.1
    assert seen.until == 15


def test_what_was_under_way_says_nothing_of_what_came_of_it(memory: Memory) -> None:
    memory.observe([probe(10.4), attempt(9.9, Failure.RESET)])
    memory.observe([probe(10.5), attempt(10.0)])
    seen = memory.observed(CHAT_1, since=10)
    assert seen.probes_ok_in_a_row == 1
    assert (seen.attempts, seen.attempts_failed) == (1, 0)


def test_nothing_seen_is_not_health(memory: Memory) -> None:
    seen = memory.observed(CHAT_1, since=10)
    assert seen.probes_ok_in_a_row == seen.attempts == 0
    assert seen.ok_since is seen.time_to_first_token is None
    assert seen.until == 10


def test_only_attempts_that_ended_count(memory: Memory) -> None:
    memory.observe([attempt(11, phase=Phase.STARTED), attempt(11, phase=Phase.STREAMING)])
    assert memory.observed(CHAT_1, since=10).attempts == 0


def test_whoever_knows_better_says_what_a_bad_answer_is() -> None:
    topology = stack(CHAT_1)
    memory = Memory(lambda: topology, is_bad=lambda a: a.content_type == "text/html")
    memory.observe([attempt(11), attempt(12, content_type="text/html")])
    assert memory.observed(CHAT_1, since=10).attempts_failed == 1


def test_an_answer_in_one_piece_is_measured_as_a_whole(memory: Memory) -> None:
    memory.observe([probe(11, ttft=None, took=0.25)])
    assert memory.observed(CHAT_1, since=10).time_to_first_token == 0.25


def test_the_pace_of_the_siblings(memory: Memory) -> None:
    for subject, ttft in ((CHAT_1, 9.0), (CHAT_2, 0.1), (CHAT_3, 3.0)):
        memory.observe([Probe(subject, 1.0, time_to_first_token=ttft)] * 3)
        memory.observe([Probe(subject, 1.0, Failure.RESET, time_to_first_token=0.001)])
    assert memory.typical_time_to_first_token("chat", "chat-1") == 0.1
    assert memory.typical_time_to_first_token("chat", "chat-2") == 3.0
    assert memory.typical_time_to_first_token("embed", "embed-1") is None


def test_the_pace_of_siblings_that_were_never_asked(memory: Memory) -> None:
    assert memory.typical_time_to_first_token("chat", "chat-1") is None


def test_memory_is_bounded(memory: Memory) -> None:
    memory.observe([probe(n) for n in range(3 * PROBES)])
    memory.observe([attempt(n) for n in range(3 * ATTEMPTS)])
    seen = memory.observed(CHAT_1, since=-1)
    assert (seen.probes_ok_in_a_row, seen.attempts) == (PROBES, ATTEMPTS)


def test_replicas_that_are_gone_are_forgotten() -> None:
    topology = stack(CHAT_1, CHAT_2)
    memory = Memory(lambda: topology)
    memory.observe([probe(11)])
    topology = stack(CHAT_2)
    memory.observe([probe(12)])
    topology = stack(CHAT_1, CHAT_2)
    memory.observe([])
    assert memory.observed(CHAT_1, since=0).probes_ok_in_a_row == 0


def test_it_is_read_from_other_threads_while_evidence_comes_in(memory: Memory) -> None:
    stop = threading.Event()
    broken: list[BaseException] = []

    def verify() -> None:
        try:
            while not stop.is_set():
                memory.observed(CHAT_1, since=0)
                memory.typical_time_to_first_token("chat", "chat-2")
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told below
            broken.append(error)

    threads = [threading.Thread(target=verify) for _ in range(3)]
    for thread in threads:
        thread.start()
    for n in range(300):
        memory.observe([probe(n), attempt(n)])
    stop.set()
    for thread in threads:
        thread.join()
    assert not broken
