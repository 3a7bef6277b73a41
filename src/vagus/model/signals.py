"""The catalogue of signals: one canonical name for each thing that engines call by many.

Names follow OpenTelemetry's conventions (GenAI, databases, hardware) where there is one, and
start with ``vagus.`` where there is none. A dialect maps an engine's metrics onto these names;
whatever is not in the catalogue is not kept, which bounds the series by the number of replicas.

It stands among the values, and not with telemetry, because three steps need the same answers:
telemetry how a number is to be read, detection which direction is bad and what is too little to
matter, and the settings whether a name in the user's own mapping exists at all.

Sources: OpenTelemetry semantic conventions 1.41: GenAI and hardware metrics (status: development),
database metrics (stable).
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
    QUALITY = "quality"
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


class Combine(StrEnum):
    """What the same metric with different labels (engines, models, cards) makes together."""

    SUM = "sum"
    MAX = "max"  # a share that is used up: the fullest one is what requests wait for
    MEAN = "mean"


@dataclass(frozen=True, slots=True)
class Signal:
    """Units as UCUM writes them; a counter's unit is that of what is counted, its rate's per s.

    ``floor`` is in the unit of the values that are judged (for a counter: per second): a deviation
    that is smaller doesn't matter, however unlikely it is.
    """

    name: str
    unit: str
    kind: SignalKind
    worse: Worse
    instrument: Instrument = Instrument.GAUGE
    floor: float = 0.0
    combine: Combine = Combine.SUM


@dataclass(frozen=True, slots=True)
class Ratio:
    """A gauge that nobody tells and two numbers make: what grew of ``part`` over what grew of all
    of ``whole``. Of gauges it is the ratio as they stand."""

    part: str
    whole: tuple[str, ...]


RUNNING = "vagus.server.requests.running"
WAITING = "vagus.server.requests.waiting"
KV_CACHE = "vagus.server.kv_cache.usage"
PREEMPTIONS = "vagus.server.preemptions"
PREFIX_QUERIES = "vagus.server.prefix_cache.queries"
PREFIX_HITS = "vagus.server.prefix_cache.hits"
PREFIX_HIT_RATIO = "vagus.server.prefix_cache.hit_ratio"
STEPS = "vagus.server.steps"
TOKENS_IN = "vagus.server.tokens.input"
TOKENS_OUT = "vagus.server.tokens.output"
TOKENS_OUT_TIME = "vagus.server.tokens.output.time"
TOKEN_RATE = "vagus.server.tokens.output.rate"  # noqa: S105
REQUESTS = "vagus.server.requests"
FAILED = "vagus.server.requests.failed"
DURATION_TOTAL = "vagus.server.request.time"
QUEUE_TIME = "vagus.server.request.queue_time"
TIME_TO_FIRST_TOKEN = "gen_ai.server.time_to_first_token"  # noqa: S105 - tokens of text
TIME_PER_TOKEN = "gen_ai.server.time_per_output_token"  # noqa: S105
DURATION = "gen_ai.server.request.duration"

CLIENT_DURATION = "gen_ai.client.operation.duration"
CLIENT_FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
CLIENT_OPERATIONS = "vagus.client.operations"
CLIENT_FAILED = "vagus.client.operations.failed"
CLIENT_TOKENS_IN = "vagus.client.tokens.input"
CLIENT_TOKENS_OUT = "vagus.client.tokens.output"
EMBEDDING_DURATION = "vagus.client.embedding.duration"

DB_DURATION = "db.client.operation.duration"
DB_RETURNED_ROWS = "db.client.response.returned_rows"
DB_OPERATIONS = "vagus.client.db.operations"
DB_FAILED = "vagus.client.db.operations.failed"

SEARCH_DURATION = "vagus.vectors.search.duration"
SEARCH_QUEUE_TIME = "vagus.vectors.search.queue_time"
VECTORS = "vagus.vectors.stored"
VECTORS_UNINDEXED = "vagus.vectors.unindexed"
INDEX_QUEUE = "vagus.vectors.index.queue"
INDEX_RUNNING = "vagus.vectors.index.running"
DEAD_SHARDS = "vagus.vectors.shards.dead"

CACHE_HITS = "vagus.cache.hits"
CACHE_MISSES = "vagus.cache.misses"
CACHE_HIT_RATIO = "vagus.cache.hit_ratio"
CACHE_EVICTIONS = "vagus.cache.evictions"
CACHE_MEMORY = "vagus.cache.memory.used"
CACHE_KEYS = "vagus.cache.keys"

GPU_UTILIZATION = "hw.gpu.utilization"
GPU_MEMORY_USED = "hw.gpu.memory.usage"
GPU_MEMORY_FREE = "vagus.gpu.memory.free"
GPU_MEMORY_SHARE = "hw.gpu.memory.utilization"
GPU_TEMPERATURE = "hw.temperature"
GPU_POWER = "hw.power"
GPU_XID = "vagus.gpu.xid"
GPU_ECC = "vagus.gpu.ecc.uncorrected"

GATEWAY_RUNNING = "vagus.gateway.requests.active"
GATEWAY_REQUESTS = "vagus.gateway.requests"
GATEWAY_FAILED = "vagus.gateway.requests.failed"
CONNECT_FAILURES = "vagus.gateway.connect_failures"
TIME_PER_BYTE = "vagus.gateway.time_per_byte"
ATTEMPTS = "vagus.gateway.attempts"
ATTEMPTS_FAILED = "vagus.gateway.attempts.failed"

_LATENCY, _THROUGHPUT = SignalKind.LATENCY, SignalKind.THROUGHPUT
_SATURATION, _ERRORS, _PROGRESS = SignalKind.SATURATION, SignalKind.ERRORS, SignalKind.PROGRESS
_QUALITY = SignalKind.QUALITY
_UP, _DOWN, _EITHER = Worse.UP, Worse.DOWN, Worse.EITHER
_GAUGE, _COUNTER, _TALLY = Instrument.GAUGE, Instrument.COUNTER, Instrument.TALLY
_DISTRIBUTION = Instrument.DISTRIBUTION
_MIB = float(2**20)

SIGNALS: Mapping[str, Signal] = MappingProxyType(
    {
        signal.name: signal
        for signal in (
            # What a server says of itself.
            Signal(RUNNING, "{request}", _SATURATION, _UP, floor=2),
            Signal(WAITING, "{request}", _SATURATION, _UP, floor=2),
            Signal(KV_CACHE, "1", _SATURATION, _UP, floor=0.05, combine=Combine.MAX),
            Signal(PREEMPTIONS, "{preemption}", _SATURATION, _UP, _COUNTER, 0.1),
            Signal(PREFIX_QUERIES, "{token}", _THROUGHPUT, _EITHER, _COUNTER, 10),
            Signal(PREFIX_HITS, "{token}", _THROUGHPUT, _EITHER, _COUNTER, 10),
            Signal(PREFIX_HIT_RATIO, "1", _THROUGHPUT, _DOWN, _GAUGE, 0.1, Combine.MEAN),
            Signal(STEPS, "{step}", _PROGRESS, _DOWN, _COUNTER, 1),
            Signal(TOKENS_IN, "{token}", _THROUGHPUT, _EITHER, _COUNTER, 10),
            # How many are written follows what is asked, in bursts; TOKEN_RATE is how fast.
            Signal(TOKENS_OUT, "{token}", _THROUGHPUT, _EITHER, _COUNTER, 10),
            Signal(TOKENS_OUT_TIME, "s", _LATENCY, _EITHER, _COUNTER, 0.1),
            # While it writes: idle seconds don't count, so little demand is no slow pace.
            Signal(TOKEN_RATE, "{token}/s", _THROUGHPUT, _DOWN, _GAUGE, 2, Combine.MEAN),
            Signal(REQUESTS, "{request}", _THROUGHPUT, _EITHER, _COUNTER, 0.2),
            Signal(FAILED, "{request}", _ERRORS, _UP, _COUNTER, 0.05),
            Signal(DURATION_TOTAL, "s", _LATENCY, _EITHER, _COUNTER, 0.1),
            Signal(QUEUE_TIME, "s", _LATENCY, _UP, _DISTRIBUTION, 0.05),
            # What a vector store says of itself.
            Signal(SEARCH_DURATION, "s", _LATENCY, _UP, _DISTRIBUTION, 0.005),
            Signal(SEARCH_QUEUE_TIME, "s", _LATENCY, _UP, _DISTRIBUTION, 0.005),
            Signal(VECTORS, "{vector}", _QUALITY, _DOWN, floor=100),
            Signal(VECTORS_UNINDEXED, "{vector}", _QUALITY, _UP, floor=1000),
            Signal(INDEX_QUEUE, "{operation}", _SATURATION, _UP, floor=100),
            Signal(INDEX_RUNNING, "{operation}", _SATURATION, _UP, floor=1),
            Signal(DEAD_SHARDS, "{shard}", _ERRORS, _UP, floor=0.5),
            # What a cache says of itself.
            Signal(CACHE_HITS, "{request}", _THROUGHPUT, _EITHER, _COUNTER, 1),
            Signal(CACHE_MISSES, "{request}", _THROUGHPUT, _EITHER, _COUNTER, 1),
            Signal(CACHE_HIT_RATIO, "1", _QUALITY, _DOWN, _GAUGE, 0.1, Combine.MEAN),
            Signal(CACHE_EVICTIONS, "{key}", _SATURATION, _UP, _COUNTER, 1),
            Signal(CACHE_MEMORY, "By", _SATURATION, _UP, floor=16 * _MIB),
            Signal(CACHE_KEYS, "{key}", _QUALITY, _DOWN, floor=100),
            # What the card says. The last XID is a code: that it changed is all that can be judged.
            Signal(GPU_UTILIZATION, "1", _SATURATION, _EITHER, _GAUGE, 0.1, Combine.MEAN),
            Signal(GPU_MEMORY_USED, "By", _SATURATION, _UP, floor=256 * _MIB),
            Signal(GPU_MEMORY_FREE, "By", _SATURATION, _DOWN, floor=256 * _MIB),
            Signal(GPU_MEMORY_SHARE, "1", _SATURATION, _UP, _GAUGE, 0.05, Combine.MAX),
            Signal(GPU_TEMPERATURE, "Cel", _SATURATION, _UP, _GAUGE, 5, Combine.MAX),
            Signal(GPU_POWER, "W", _SATURATION, _EITHER, floor=25),
            Signal(GPU_XID, "1", _ERRORS, _UP, _GAUGE, 0.5, Combine.MAX),
            Signal(GPU_ECC, "{error}", _ERRORS, _UP, _COUNTER),
            # What the gateway counts of a server.
            Signal(GATEWAY_RUNNING, "{request}", _SATURATION, _UP, floor=2),
            Signal(GATEWAY_REQUESTS, "{request}", _THROUGHPUT, _EITHER, _COUNTER, 0.2),
            Signal(GATEWAY_FAILED, "{request}", _ERRORS, _UP, _COUNTER, 0.05),
            Signal(CONNECT_FAILURES, "{connection}", _ERRORS, _UP, _COUNTER, 0.05),
            # What callers and probes meet; engines that have histograms tell it too.
            Signal(TIME_TO_FIRST_TOKEN, "s", _LATENCY, _UP, _DISTRIBUTION, 0.05),
            Signal(TIME_PER_TOKEN, "s", _LATENCY, _UP, _DISTRIBUTION, 0.005),
            Signal(DURATION, "s", _LATENCY, _UP, _DISTRIBUTION, 0.1),
            # The gateway counts bytes, not tokens; between siblings that is as good.
            Signal(TIME_PER_BYTE, "s/By", _LATENCY, _UP, _DISTRIBUTION, 0.0005),
            Signal(ATTEMPTS, "{request}", _THROUGHPUT, _EITHER, _TALLY, 0.2),
            Signal(ATTEMPTS_FAILED, "{request}", _ERRORS, _UP, _TALLY, 0.05),
            # What callers' own instrumentation tells (OpenTelemetry).
            Signal(CLIENT_DURATION, "s", _LATENCY, _UP, _DISTRIBUTION, 0.1),
            Signal(CLIENT_FIRST_CHUNK, "s", _LATENCY, _UP, _DISTRIBUTION, 0.05),
            Signal(CLIENT_OPERATIONS, "{operation}", _THROUGHPUT, _EITHER, _COUNTER, 0.2),
            Signal(CLIENT_FAILED, "{operation}", _ERRORS, _UP, _COUNTER, 0.05),
            Signal(CLIENT_TOKENS_IN, "{token}", _THROUGHPUT, _EITHER, _COUNTER, 10),
            Signal(CLIENT_TOKENS_OUT, "{token}", _THROUGHPUT, _EITHER, _COUNTER, 10),
            Signal(EMBEDDING_DURATION, "s", _LATENCY, _UP, _DISTRIBUTION, 0.01),
            Signal(DB_DURATION, "s", _LATENCY, _UP, _DISTRIBUTION, 0.01),
            # Fewer than the k that were asked for is a silent failure of retrieval.
            Signal(DB_RETURNED_ROWS, "{row}", _QUALITY, _DOWN, _DISTRIBUTION, 0.5),
            Signal(DB_OPERATIONS, "{operation}", _THROUGHPUT, _EITHER, _COUNTER, 0.2),
            Signal(DB_FAILED, "{operation}", _ERRORS, _UP, _COUNTER, 0.05),
        )
    }
)

RATIOS: Mapping[str, Ratio] = MappingProxyType(
    {
        PREFIX_HIT_RATIO: Ratio(PREFIX_HITS, (PREFIX_QUERIES,)),
        CACHE_HIT_RATIO: Ratio(CACHE_HITS, (CACHE_HITS, CACHE_MISSES)),
        TOKEN_RATE: Ratio(TOKENS_OUT, (TOKENS_OUT_TIME,)),
        GPU_MEMORY_SHARE: Ratio(GPU_MEMORY_USED, (GPU_MEMORY_USED, GPU_MEMORY_FREE)),
    }
)
"""Made where a subject's dialect tells all of the parts and not the ratio itself."""
