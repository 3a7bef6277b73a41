"""The catalogue of signals: one canonical name for each thing that engines call by many.

Names follow OpenTelemetry's conventions for GenAI where there is one, and start with ``vagus.``
where there is none. A dialect maps an engine's metrics onto these names; whatever is not in the
catalogue is not kept, which is what bounds the number of series by the number of replicas.

Sources: OpenTelemetry semantic conventions 1.41, GenAI metrics (status: development).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class SignalKind(StrEnum):
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


class Instrument(StrEnum):
    """How a number has to be read."""

    GAUGE = "gauge"  # as it stands
    COUNTER = "counter"  # only grows until it is reset; its rate is what is of interest
    TALLY = "tally"  # events that we count ourselves, a tick at a time
    DISTRIBUTION = "distribution"  # many values a tick; the middle and the tail are of interest


@dataclass(frozen=True, slots=True)
class Signal:
    """Units as UCUM writes them; a counter's unit is that of what is counted, its rate's per s."""

    name: str
    unit: str
    kind: SignalKind
    worse: Worse
    instrument: Instrument = Instrument.GAUGE


RUNNING = "vagus.server.requests.running"
WAITING = "vagus.server.requests.waiting"
KV_CACHE = "vagus.server.kv_cache.usage"
STEPS = "vagus.server.steps"
TOKENS_IN = "vagus.server.tokens.input"
TOKENS_OUT = "vagus.server.tokens.output"
TOKENS_OUT_TIME = "vagus.server.tokens.output.time"
REQUESTS = "vagus.server.requests"
FAILED = "vagus.server.requests.failed"
DURATION_TOTAL = "vagus.server.request.time"
TIME_TO_FIRST_TOKEN = "gen_ai.server.time_to_first_token"  # noqa: S105 - tokens of text
TIME_PER_TOKEN = "gen_ai.server.time_per_output_token"  # noqa: S105
DURATION = "gen_ai.server.request.duration"
GATEWAY_RUNNING = "vagus.gateway.requests.active"
GATEWAY_REQUESTS = "vagus.gateway.requests"
GATEWAY_FAILED = "vagus.gateway.requests.failed"
CONNECT_FAILURES = "vagus.gateway.connect_failures"
TIME_PER_BYTE = "vagus.gateway.time_per_byte"
ATTEMPTS = "vagus.gateway.attempts"
ATTEMPTS_FAILED = "vagus.gateway.attempts.failed"

_LATENCY, _THROUGHPUT = SignalKind.LATENCY, SignalKind.THROUGHPUT
_SATURATION, _ERRORS, _PROGRESS = SignalKind.SATURATION, SignalKind.ERRORS, SignalKind.PROGRESS
_COUNTER, _TALLY = Instrument.COUNTER, Instrument.TALLY
_DISTRIBUTION = Instrument.DISTRIBUTION

SIGNALS: Mapping[str, Signal] = MappingProxyType(
    {
        signal.name: signal
        for signal in (
            # What a server says of itself.
            Signal(RUNNING, "{request}", _SATURATION, Worse.UP),
            Signal(WAITING, "{request}", _SATURATION, Worse.UP),
            Signal(KV_CACHE, "1", _SATURATION, Worse.UP),
            Signal(STEPS, "{step}", _PROGRESS, Worse.DOWN, _COUNTER),
            Signal(TOKENS_IN, "{token}", _THROUGHPUT, Worse.EITHER, _COUNTER),
            Signal(TOKENS_OUT, "{token}", _THROUGHPUT, Worse.DOWN, _COUNTER),
            Signal(TOKENS_OUT_TIME, "s", _LATENCY, Worse.EITHER, _COUNTER),
            Signal(REQUESTS, "{request}", _THROUGHPUT, Worse.EITHER, _COUNTER),
            Signal(FAILED, "{request}", _ERRORS, Worse.UP, _COUNTER),
            Signal(DURATION_TOTAL, "s", _LATENCY, Worse.EITHER, _COUNTER),
            # What the gateway counts of a server.
            Signal(GATEWAY_RUNNING, "{request}", _SATURATION, Worse.UP),
            Signal(GATEWAY_REQUESTS, "{request}", _THROUGHPUT, Worse.EITHER, _COUNTER),
            Signal(GATEWAY_FAILED, "{request}", _ERRORS, Worse.UP, _COUNTER),
            Signal(CONNECT_FAILURES, "{connection}", _ERRORS, Worse.UP, _COUNTER),
            # What callers and probes meet.
            Signal(TIME_TO_FIRST_TOKEN, "s", _LATENCY, Worse.UP, _DISTRIBUTION),
            Signal(TIME_PER_TOKEN, "s", _LATENCY, Worse.UP, _DISTRIBUTION),
            Signal(DURATION, "s", _LATENCY, Worse.UP, _DISTRIBUTION),
            # The gateway counts bytes, not tokens; between siblings that is as good.
            Signal(TIME_PER_BYTE, "s/By", _LATENCY, Worse.UP, _DISTRIBUTION),
            Signal(ATTEMPTS, "{request}", _THROUGHPUT, Worse.EITHER, _TALLY),
            Signal(ATTEMPTS_FAILED, "{request}", _ERRORS, Worse.UP, _TALLY),
        )
    }
)
