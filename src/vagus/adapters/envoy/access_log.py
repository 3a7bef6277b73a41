"""Envoy's rows as attempts. ``docs/reference/access-log.md`` says what a row holds.

A row of the router's own log is about one attempt at one host. What failed is told by the response
flags first, since the code is what the *caller* was given: a stream that broke midway has code 200.
When the caller went away the upstream did nothing wrong, and how it would have ended is unknown, so
such an attempt ends without a failure and is told apart by having no status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vagus.model import Attempt, Failure, Phase
from vagus.topology import Topology

_PHASES = {
    "UpstreamPoolReady": Phase.STARTED,
    "UpstreamPeriodic": Phase.STREAMING,
    "UpstreamEnd": Phase.ENDED,
}
_FLAGS = {
    "UF": Failure.REFUSED,  # connection failure
    "UC": Failure.RESET,  # connection terminated by the upstream
    "UR": Failure.RESET,  # reset by the upstream
    "UPE": Failure.TRUNCATED,  # protocol error: a body that ended before its end
    "UT": Failure.TIMEOUT,  # upstream request timeout
    "UMSDR": Failure.TIMEOUT,  # maximum stream duration
    "SI": Failure.TIMEOUT,  # stream idle timeout
    "URX": None,  # retries exhausted: said of the request, the attempts have their own rows
}
_CALLER_LEFT = frozenset({"DC", "DR", "DPE"})


def decoder(topology: Callable[[], Topology]) -> Callable[[Mapping[str, object]], Attempt | None]:
    """Reads rows in the light of the stack as it stands when the row is read."""

    def decode(row: Mapping[str, object]) -> Attempt | None:
        return attempt(row, topology())

    return decode


def attempt(row: Mapping[str, object], topology: Topology) -> Attempt | None:
    """One row; None if it names no host that is a replica of the stack."""
    host, kind = row["host"], row["type"]
    phase = _PHASES.get(str(kind))
    if not isinstance(host, str) or phase is None:
        return None
    subject = topology.subject_at(host)
    if subject is None:
        return None
    started_at = float(str(row["t"]))
    duration = _number(row.get("duration_ms")) / 1000
    received = int(_number(row.get("bytes")))
    ttft = row.get("ttft_us")
    flags = str(row.get("flags") or "").split(",")
    ended = phase is Phase.ENDED
    left = ended and not _CALLER_LEFT.isdisjoint(flags)
    code = int(_number(row.get("code"))) or None
    return Attempt(
        subject=subject,
        id=f"{row.get('id')}:{row.get('attempt')}:{host}",
        phase=phase,
        at=started_at + duration,
        started_at=started_at,
        failure=_failure(flags, code, ttft is not None) if ended and not left else None,
        status=None if left else code,
        time_to_first_token=None if ttft is None else _number(ttft) / 1e6,
        duration=duration,
        received_bytes=received,
        content_type=str(row.get("content_type") or ""),
        cohort=str(row.get("cohort") or ""),
        path=str(row.get("path") or ""),
    )


def _failure(flags: list[str], code: int | None, answered: bool) -> Failure | None:
    for flag in flags:
        failure = _FLAGS.get(flag)
        if failure is Failure.RESET and answered:
            return Failure.TRUNCATED
        if failure is not None:
            return failure
    return Failure.SERVER_ERROR if code is not None and code >= 500 else None


def _number(value: object) -> float:
    """A number of a row; what is missing is 0. Raises ValueError for anything else."""
    if value is None or value == "-":
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a number")
    return float(value)
