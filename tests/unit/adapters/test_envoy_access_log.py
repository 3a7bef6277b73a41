"""Envoy's rows as attempts, on logs that the real Envoy wrote while a replica was faulty."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from vagus import config
from vagus.adapters.envoy.access_log import attempt
from vagus.model import Attempt, Failure, Phase
from vagus.topology import Topology, authority

DATA = Path(__file__).parents[2] / "data" / "envoy"


def rows(sample: str) -> list[dict[str, object]]:
    lines = (DATA / f"access-{sample}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def stack_of(sample: str) -> Topology:
    """A topology in which every host of the sample is a replica of its cluster."""
    hosts = sorted({str(row["host"]) for row in rows(sample) if row["host"]})
    replicas = ", ".join(f"chat-{n}: 'http://{host}'" for n, host in enumerate(hosts, 1))
    text = f"stack: {{chat: {{kind: model-server, replicas: {{{replicas}}}}}}}"
    return Topology.declared(config.parse(text))


def attempts(sample: str) -> Iterator[Attempt]:
    topology = stack_of(sample)
    for row in rows(sample):
        seen = attempt(row, topology)
        if seen is not None:
            yield seen


def failures(sample: str) -> Counter[Failure]:
    return Counter(a.failure for a in attempts(sample) if a.failure is not None)


def test_a_healthy_stack_has_no_failures_and_every_attempt_ends() -> None:
    seen = list(attempts("healthy"))
    assert not any(a.failure for a in seen)
    started = {a.id for a in seen if a.phase is Phase.STARTED}
    ended = [a for a in seen if a.phase is Phase.ENDED]
    assert started >= {a.id for a in ended}
    assert all(a.status == 200 and a.time_to_first_token for a in ended)


@pytest.mark.parametrize(
    ("sample", "failure"),
    [
        ("kill", Failure.REFUSED),
        ("refused", Failure.REFUSED),
        ("cut", Failure.TRUNCATED),
        ("http-500", Failure.SERVER_ERROR),
        ("stop", Failure.TIMEOUT),
    ],
)
def test_each_fault_is_named_as_what_it_was_in_the_exchange(sample: str, failure: Failure) -> None:
    named = failures(sample)
    assert named[failure] >= 1
    assert max(named, key=lambda f: named[f]) is failure


def test_one_replica_carries_all_failures() -> None:
    for sample in ("cut", "http-500", "refused"):
        blamed = {a.subject for a in attempts(sample) if a.failure is not None}
        assert len(blamed) == 1, sample


def test_garbage_is_told_by_its_content_type() -> None:
    kinds = Counter(a.content_type.partition(";")[0] for a in attempts("garbage") if a.content_type)
    assert kinds["text/html"] >= 1
    assert failures("garbage") == Counter()


def test_a_slow_replica_shows_while_its_answers_last() -> None:
    streaming = [a for a in attempts("slow") if a.phase is Phase.STREAMING]
    assert streaming
    assert all(a.duration >= 0.9 for a in streaming)


def row(**changes: object) -> dict[str, object]:
    host = str(rows("healthy")[0]["host"])
    base: dict[str, object] = {
        "t": "1700000000.250000", "type": "UpstreamEnd", "id": "r1", "cluster": "chat",
        "host": host, "attempt": "1", "cohort": None, "path": "/v1/chat/completions", "code": 200,
        "flags": "-", "details": None, "ttft_us": 21000, "stream_us": 90000, "duration_ms": 112,
        "bytes": 1900, "content_type": "text/event-stream",
    }  # fmt: skip
    return base | changes


def read(**changes: object) -> Attempt | None:
    return attempt(row(**changes), stack_of("healthy"))


def test_times_are_seconds_since_the_epoch() -> None:
    seen = read()
    assert seen is not None
    assert seen.started_at == 1_700_000_000.25
    assert seen.at == pytest.approx(1_700_000_000.362)
    assert seen.time_to_first_token == pytest.approx(0.021)


def test_a_caller_that_went_away_is_no_failure_and_no_success() -> None:
    seen = read(stream_us=None)
    assert seen is not None
    assert seen.failure is None
    assert seen.status is None


def test_a_connection_that_broke_after_the_first_byte_is_a_truncated_stream() -> None:
    seen = read(flags="UC", stream_us=None)
    assert seen is not None
    assert seen.failure is Failure.TRUNCATED
    before = read(flags="UC", stream_us=None, ttft_us=None, code=0)
    assert before is not None
    assert before.failure is Failure.RESET


def test_what_names_no_replica_of_ours_is_nobodys() -> None:
    assert read(host=None) is None
    assert read(host="10.0.0.9:80") is None
    assert read(type="DownstreamEnd") is None


@pytest.mark.parametrize("broken", [{"t": "yesterday"}, {"ttft_us": [1]}, {"bytes": {}}])
def test_a_row_of_another_form_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        read(**broken)


def test_authority_is_what_the_gateway_logs() -> None:
    assert authority("http://127.0.0.1:8101/v1") == "127.0.0.1:8101"
