"""The real Envoy's logs of real faults, row by row, as Vagus would have read them.

``tests/data/envoy/README.md`` says how they were recorded: the replica on the second port meets the
fault after the first thirty requests.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vagus import config
from vagus.adapters.envoy.access_log import attempt
from vagus.detection.reflexes import Reflexes
from vagus.model import Attempt, Failure, Finding, Phase, Probe, Subject, Symptom
from vagus.topology import Topology

DATA = Path(__file__).parents[2] / "data" / "envoy"
SICK = Subject("chat", "chat-2")
FLUSH = 0.1
LOOK = 0.05


class Recording:
    def __init__(self, name: str) -> None:
        lines = (DATA / f"access-{name}.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        hosts = sorted({row["host"] for row in rows if row["host"]})
        replicas = ", ".join(f'chat-{n}: "http://{host}"' for n, host in enumerate(hosts, 1))
        self.topology = Topology.declared(
            config.parse(f"stack: {{chat: {{kind: model-server, replicas: {{{replicas}}}}}}}")
        )
        found = (attempt(row, self.topology) for row in rows)
        self.attempts = [row for row in found if row is not None]
        starts = sorted(a.started_at for a in self.attempts if a.phase is Phase.STARTED)
        self.fault_at = starts[29]

    def replay(self, *extra: Probe) -> list[tuple[float, Finding]]:
        """What was found, when, if a row can be read ``FLUSH`` after it was written."""
        reflexes = Reflexes(lambda: self.topology)
        written = max(a.at for a in self.attempts)
        said: list[tuple[float, Finding]] = []
        rows, probes = list(self.attempts), list(extra)
        now = min(a.at for a in rows)
        while now < written + FLUSH + 1.0:
            now += LOOK
            batch: list[Attempt | Probe] = []
            while rows and rows[0].at <= now - FLUSH:
                batch.append(rows.pop(0))
            while probes and probes[0].at <= now:
                batch.append(probes.pop(0))
            reflexes.observe(batch)
            said += [(now, finding) for finding in reflexes.evaluate(now)]
        return said

    def reached(self, until: float) -> int:
        """Requests that began at the sick replica between the fault and ``until``."""
        return sum(
            a.subject == SICK and a.phase is Phase.STARTED and self.fault_at <= a.started_at < until
            for a in self.attempts
        )


@pytest.mark.parametrize(
    ("name", "symptom", "within", "requests"),
    [
        ("refused", Symptom.GONE, 1.0, 12),
        ("http-500", Symptom.ERRORING, 1.2, 12),
        ("garbage", Symptom.WRONG_SHAPE, 0.7, 12),
        ("cut", Symptom.CUTTING, 0.8, 12),
        ("slow", Symptom.SLOW, 1.2, 18),
        ("stop", Symptom.HUNG, 2.5, 18),
    ],
)
def test_the_fault_is_found_by_the_gateways_log_alone(
    name: str, symptom: Symptom, within: float, requests: int
) -> None:
    recording = Recording(name)
    said = recording.replay()
    assert {finding.subject for _, finding in said} == {SICK}
    at, _ = next((now, f) for now, f in said if f.symptom is symptom)
    assert at - recording.fault_at <= within
    first, _ = said[0]
    assert recording.reached(first) <= requests


def test_a_stopped_replica_is_known_to_be_no_good_within_a_second_or_so() -> None:
    """Before it can be called hung, it is plainly slower than its siblings."""
    recording = Recording("stop")
    first, finding = recording.replay()[0]
    assert finding.symptom is Symptom.SLOW
    assert first - recording.fault_at <= 1.4


def test_a_healthy_log_raises_nothing() -> None:
    assert Recording("healthy").replay() == []


def test_a_killed_replica_that_envoy_hides_is_confirmed_by_one_probe() -> None:
    """Envoy's own ejection leaves two refused rows and nothing more: too little by itself."""
    recording = Recording("kill")
    assert recording.replay() == []
    probed_at = recording.fault_at + 0.4
    said = recording.replay(Probe(SICK, probed_at, Failure.REFUSED))
    assert [finding.symptom for _, finding in said] == [Symptom.GONE]
    assert said[0][0] - recording.fault_at <= 1.0
