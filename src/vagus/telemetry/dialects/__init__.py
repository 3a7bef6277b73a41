"""Dialects: what an engine calls the signals of the catalogue, one small file an engine.

A metric with labels is put together over them as its signal says (a sum; the largest of what can
be used up; a mean); a dialect may take only some of them (``where``, ``unless``, with ``*`` and
``?`` as in file names) and scale the unit. A histogram is named once, without ``_bucket``.
*Verified* means checked against a recording of a real server; of the others the names are those
that the engine's own code or documents give.

The user's own mapping (``metrics`` of a component) comes before the dialect's, metric by metric.
For an engine that nobody described it is all there is: *generic* knows no metrics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable

from pydantic import BaseModel, ConfigDict, ValidationError

from vagus._engines import GENERIC, Meaning, Metrics
from vagus._mistakes import first_mistake
from vagus._yaml import load_located
from vagus.errors import ConfigError
from vagus.model.signals import SIGNALS, Instrument
from vagus.telemetry.sample_line import Series

BUCKET = "_bucket"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str
    verified: bool
    metrics: Metrics


@dataclass(frozen=True)
class Dialect:
    engine: str
    verified: bool
    metrics: Mapping[str, tuple[Meaning, ...]]

    @cached_property
    def _escaped(self) -> Mapping[str, tuple[Meaning, ...]]:
        return {escaped(name): meanings for name, meanings in self.metrics.items() if ":" in name}

    def named(self, name: str) -> tuple[Meaning, ...]:
        """What a metric of this name is, in whichever way the name is written."""
        return self.metrics.get(name) or self._escaped.get(name, ())

    def meanings(self, series: Series) -> list[Meaning]:
        """What ``series`` is a part of; of a histogram only the buckets are read."""
        is_bucket = series.name.endswith(BUCKET)
        known = self.named(series.name.removesuffix(BUCKET) if is_bucket else series.name)
        labels = dict(series.labels)
        return [
            meaning
            for meaning in known
            if is_distribution(meaning.signal) == is_bucket and meaning.holds(labels)
        ]

    def with_own(self, metrics: Mapping[str, tuple[Meaning, ...]]) -> Dialect:
        """The same with the user's mapping over it."""
        return replace(self, metrics={**self.metrics, **metrics}) if metrics else self


def escaped(name: str) -> str:
    """``vllm:x`` as ``vllm_x``: what prometheus_client (0.22 and later) makes of a colon in
    OpenMetrics, unless the scraper asks for ``escaping=allow-utf-8``. Prometheus 2 doesn't, so what
    it stores of a new server has other names than what the server itself shows a browser."""
    return name.replace(":", "_")


def is_distribution(signal: str) -> bool:
    return SIGNALS[signal].instrument is Instrument.DISTRIBUTION


@cache
def dialects() -> Mapping[str, Dialect]:
    """Every dialect by its engine's name, read and checked once."""
    files = (f for f in resources.files(__package__).iterdir() if f.name.endswith(".yaml"))
    read = (_read(file) for file in sorted(files, key=lambda file: file.name))
    return {dialect.engine: dialect for dialect in read}


def dialect_of(engine: str, own: Mapping[str, tuple[Meaning, ...]] | None = None) -> Dialect:
    """The engine's dialect, *generic* if there is none, with the user's ``own`` over it."""
    known = dialects()
    return known.get(engine, known[GENERIC]).with_own(own or {})


def parse(text: str, name: str) -> Dialect:
    """One file. Raises ConfigError with the file and the line."""
    document = load_located(text, name=name)
    try:
        file = _File.model_validate(document.value)
    except ValidationError as error:
        raise first_mistake(error, _File, document, name) from error
    return Dialect(file.engine, file.verified, file.metrics)


def _read(file: Traversable) -> Dialect:
    dialect = parse(file.read_text(encoding="utf-8"), file.name)
    if file.name != f"{dialect.engine}.yaml":
        raise ConfigError(
            f"describes {dialect.engine!r}", where=file.name, mend="name the file for its engine"
        )
    return dialect
