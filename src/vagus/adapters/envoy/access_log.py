"""Envoy's rows as attempts. ``docs/reference/access-log.md`` says what a row holds.

A row of the router's own log is about one attempt at one host. What failed is told by the response
flags first, since a stream that broke midway has code 200 all the same. When the caller went away
there is no flag and no time of the stream's end: the replica did nothing wrong, and how it would
have gone on is unknown, so such an attempt ends without a failure and without a status.
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
    "UF": Failure.REFUSED,  # no connection
    "UC": Failure.RESET,  # the upstream ended the connection
    "UR": Failure.RESET,  # the upstream reset the stream
    "UPE": Failure.RESET,  # a body that broke off
    "UT": Failure.TIMEOUT,  # upstream request timeout
    "UMSDR": Failure.TIMEOUT,  # maximum stream duration
    "SI": Failure.TIMEOUT,  # silent past the idle timeout
}
"""What is said of a whole request (retries exhausted) is not here: its attempts have rows."""


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
    code = int(_number(row.get("code"))) or None
    failure = _failure(flags, code, ttft is not None) if ended else None
    left = ended and failure is None and row.get("stream_us") is None
    return Attempt(
        subject=subject,
        id=f"{row.get('id')}:{row.get('attempt')}:{host}",
        phase=phase,
        at=started_at + duration,
        started_at=started_at,
        failure=failure,
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
