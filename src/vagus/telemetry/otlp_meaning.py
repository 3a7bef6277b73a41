"""What an OTLP metric means: names and attributes of the conventions -> signals of the catalogue.

A metric that bears the name of a signal is that signal, if its unit can be converted and it is of
the same kind. The conventions put several things into one metric where the catalogue has a signal
for each: durations of embeddings and of chats, tokens read and written, calls that failed (how long
a failure took is no latency). And an engine whose own metrics arrive through a collector is read by
its dialect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from vagus.model import signals
from vagus.model.signals import SIGNALS, Instrument
from vagus.telemetry.dialects import Dialect, is_distribution
from vagus.telemetry.otlp_layout import Point, Temporality


class Of(Enum):
    """Which of a point's numbers it is."""

    VALUE = 0  # the number, or the sum of a histogram
    BUCKETS = 1
    COUNT = 2  # how many are in the buckets


@dataclass(frozen=True, slots=True)
class Part:
    """A signal that a point tells, or is a part of."""

    signal: str
    of: Of
    scale: float = 1.0


class Mismatch(ValueError):
    """It bears the name of a signal and is something else."""


_TOKEN_USAGE = "gen_ai.client.token.usage"  # noqa: S105 - tokens of text
_TOKENS = {"input": signals.CLIENT_TOKENS_IN, "output": signals.CLIENT_TOKENS_OUT}
_OPERATIONS = {
    signals.CLIENT_DURATION: (signals.CLIENT_OPERATIONS, signals.CLIENT_FAILED),
    signals.DB_DURATION: (signals.DB_OPERATIONS, signals.DB_FAILED),
}
OPERATION = "gen_ai.operation.name"
ERROR = "error.type"

_SCALES: Mapping[str, Mapping[str, float]] = {
    "s": {"s": 1.0, "": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0},
    "By": {"By": 1.0, "": 1.0, "KiBy": 2.0**10, "MiBy": 2.0**20, "GiBy": 2.0**30, "kBy": 1e3}
    | {"MBy": 1e6, "GBy": 1e9},
    "1": {"1": 1.0, "": 1.0, "%": 0.01},
}


def parts(point: Point, dialect: Dialect | None) -> Iterator[Part]:
    """What ``point`` tells. Raises Mismatch; nothing for what is not in the catalogue."""
    name, labels = point.metric.name, dict(point.labels)
    if name in _OPERATIONS and point.is_histogram:
        yield from _operations(point, labels)
    elif name == _TOKEN_USAGE and point.is_histogram:
        tokens = _TOKENS.get(labels.get("gen_ai.token.type", ""))
        if tokens is not None:
            yield Part(tokens, Of.VALUE)
    elif name in SIGNALS and SIGNALS[name].instrument is not Instrument.TALLY:
        yield _itself(point, labels)
    elif dialect is not None:
        for meaning in dialect.named(name):
            if is_distribution(meaning.signal) == point.is_histogram and meaning.holds(labels):
                of = Of.BUCKETS if point.is_histogram else Of.VALUE
                yield Part(meaning.signal, of, meaning.scale)


def _operations(point: Point, labels: Mapping[str, str]) -> Iterator[Part]:
    name = point.metric.name
    many, failed = _OPERATIONS[name]
    yield Part(many, Of.COUNT)
    if ERROR in labels:
        yield Part(failed, Of.COUNT)
        return
    embeds = name == signals.CLIENT_DURATION and labels.get(OPERATION) == "embeddings"
    signal = signals.EMBEDDING_DURATION if embeds else name
    yield Part(signal, Of.BUCKETS, _scale(point, name))


def _itself(point: Point, labels: Mapping[str, str]) -> Part:
    name = point.metric.name
    scale, instrument = _scale(point, name), SIGNALS[name].instrument
    if instrument is Instrument.DISTRIBUTION:
        fits = point.is_histogram
    else:
        is_gauge = point.metric.temporality is Temporality.GAUGE
        fits = not point.is_histogram and is_gauge == (instrument is Instrument.GAUGE)
    if not fits:
        raise Mismatch(f"{name} is a {instrument}, and comes as something else")
    return Part(name, Of.BUCKETS if point.is_histogram else Of.VALUE, scale)


def _scale(point: Point, name: str) -> float:
    wanted, told = SIGNALS[name].unit, point.metric.unit
    if wanted.startswith("{") and (told in ("", "1") or told.startswith("{")):
        return 1.0
    scale = _SCALES.get(wanted, {wanted: 1.0, "": 1.0}).get(told)
    if scale is None:
        raise Mismatch(f"{name} is in {wanted}, and comes in {told!r}")
    return scale
