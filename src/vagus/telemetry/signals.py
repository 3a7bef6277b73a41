"""The catalogue of signals: one canonical name for each thing that engines call by many.

Names follow OpenTelemetry's conventions for GenAI and databases where there is one, and start with
``vagus.`` where there is none. A dialect maps an engine's metrics onto these names; whatever is not
in the catalogue is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    LATENCY = "latency"
    THROUGHPUT = "throughput"
    SATURATION = "saturation"
    ERRORS = "errors"
    PROGRESS = "progress"  # moves only when work is done


class Worse(StrEnum):
    """Which direction is bad."""

    UP = "up"
    DOWN = "down"
    EITHER = "either"


@dataclass(frozen=True, slots=True)
class Signal:
    """``counter``: only grows, and its rate is what is of interest."""

    name: str
    unit: str
    kind: Kind
    worse: Worse
    counter: bool = False


SIGNALS: dict[str, Signal] = {
    signal.name: signal
    for signal in (
        Signal("vagus.server.requests.running", "{request}", Kind.SATURATION, Worse.UP),
        Signal("vagus.server.requests.waiting", "{request}", Kind.SATURATION, Worse.UP),
        Signal("vagus.server.kv_cache.usage", "1", Kind.SATURATION, Worse.UP),
        Signal("vagus.server.steps", "{step}", Kind.PROGRESS, Worse.DOWN, counter=True),
        Signal("vagus.server.tokens.input", "{token}", Kind.THROUGHPUT, Worse.EITHER, counter=True),
        Signal("vagus.server.tokens.output", "{token}", Kind.THROUGHPUT, Worse.DOWN, counter=True),
        Signal("vagus.server.requests", "{request}", Kind.THROUGHPUT, Worse.EITHER, counter=True),
        Signal("vagus.server.requests.failed", "{request}", Kind.ERRORS, Worse.UP, counter=True),
        Signal("gen_ai.server.time_to_first_token", "s", Kind.LATENCY, Worse.UP),
        Signal("gen_ai.server.time_per_output_token", "s", Kind.LATENCY, Worse.UP),
        Signal("gen_ai.server.request.duration", "s", Kind.LATENCY, Worse.UP),
        Signal("vagus.gateway.requests.active", "{request}", Kind.SATURATION, Worse.UP),
        Signal("vagus.gateway.requests", "{request}", Kind.THROUGHPUT, Worse.EITHER, counter=True),
        Signal("vagus.gateway.requests.failed", "{request}", Kind.ERRORS, Worse.UP, counter=True),
        Signal("vagus.gateway.connect_failures", "{connection}", Kind.ERRORS, Worse.UP, True),
    )
}
