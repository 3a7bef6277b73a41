"""Single pieces of evidence, with the ordinary filled in, so that a test says only what matters."""

from __future__ import annotations

from itertools import count

from vagus import config
from vagus.model import Attempt, Failure, Phase, Probe, Scrape, Subject
from vagus.topology import Topology

_ids = count()


def stack(**replicas: int) -> Topology:
    """``stack(chat=3, embed=2)``; a ``rag`` depends on all the others."""
    kinds = {"chat": "model-server", "embed": "embedding-server", "rag": "pipeline"}
    lines = ["stack:"]
    port = 8101
    for name, number in replicas.items():
        lines += [f"  {name}:", f"    kind: {kinds[name]}"]
        if name == "rag":
            lines.append(f"    depends_on: [{', '.join(n for n in replicas if n != name)}]")
        lines.append("    replicas:")
        for index in range(1, number + 1):
            lines.append(f'      {name}-{index}: "http://127.0.0.1:{port}"')
            port += 1
    return Topology.declared(config.parse("\n".join(lines)))


def answer(
    subject: Subject,
    at: float,
    failure: Failure | None = None,
    *,
    first: float = 0.02,
    duration: float = 0.1,
    status: int | None = None,
    received_bytes: int = 800,
    content_type: str = "text/event-stream",
    id: str | None = None,
) -> Attempt:
    """An attempt that ended at ``at``."""
    statuses = {Failure.SERVER_ERROR: 500, Failure.REFUSED: 503}
    usual = 200 if failure is None else statuses.get(failure, 200)
    return Attempt(
        subject=subject,
        id=f"r{next(_ids)}" if id is None else id,
        phase=Phase.ENDED,
        at=at,
        started_at=at - duration,
        failure=failure,
        status=usual if status is None else status,
        time_to_first_token=first,
        duration=duration,
        received_bytes=received_bytes,
        content_type=content_type,
        path="/v1/chat/completions",
    )


def in_flight(
    subject: Subject, started_at: float, at: float, received_bytes: int = 0, *, id: str
) -> Attempt:
    """A report of an attempt that lasts."""
    phase = Phase.STARTED if at == started_at else Phase.STREAMING
    return Attempt(
        subject=subject,
        id=id,
        phase=phase,
        at=at,
        started_at=started_at,
        duration=at - started_at,
        received_bytes=received_bytes,
        path="/v1/chat/completions",
    )


def probe(
    subject: Subject,
    at: float,
    failure: Failure | None = None,
    *,
    first: float = 0.03,
    token: float = 0.01,
    duration: float = 0.1,
    answer: str = "Paris is the capital of France.",
) -> Probe:
    if failure is not None:
        return Probe(subject, at, failure, duration=duration)
    return Probe(subject, at, None, first, token, duration, answer)


def scrape(subject: Subject, at: float, failure: Failure | None = None, **values: float) -> Scrape:
    """``running=1, steps=7`` for short."""
    names = {name: f"vagus.server.requests.{name}" for name in ("running", "waiting")}
    names["steps"] = "vagus.server.steps"
    return Scrape(subject, at, failure, {names[key]: value for key, value in values.items()})
