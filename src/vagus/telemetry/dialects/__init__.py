"""Dialects: what an engine calls the signals of the catalogue, one small file an engine.

A metric with labels is summed over them; a dialect may take only some of them (``where``, with
``*`` and ``?`` as in file names) and scale the unit. An engine without a file of its own speaks
*generic*, which knows no metrics: that a replica answers its scrapes is evidence all the same, and
the gateway and probes watch it. *Verified* means checked against a recording of a real server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vagus._yaml import load_located
from vagus.errors import ConfigError
from vagus.telemetry.sample_line import Series
from vagus.telemetry.signals import SIGNALS, Instrument

GENERIC = "generic"

_READABLE = (Instrument.GAUGE, Instrument.COUNTER)


class Meaning(BaseModel):
    """One signal that a metric is, or is a part of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signal: str
    scale: float = 1.0
    where: dict[str, str] = Field(default_factory=dict)

    def holds(self, labels: Mapping[str, str]) -> bool:
        return all(fnmatchcase(labels.get(key, ""), want) for key, want in self.where.items())


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str
    verified: bool
    metrics: dict[str, tuple[Meaning, ...]]


@dataclass(frozen=True)
class Dialect:
    engine: str
    verified: bool
    metrics: Mapping[str, tuple[Meaning, ...]]

    def meanings(self, series: Series) -> list[tuple[str, float]]:
        """(signal, scale) of each signal that ``series`` adds to."""
        known = self.metrics.get(series.name)
        if known is None:
            return []
        labels = dict(series.labels)
        return [(m.signal, m.scale) for m in known if m.holds(labels)]


@cache
def dialects() -> Mapping[str, Dialect]:
    """Every dialect by its engine's name, read and checked once."""
    found = {}
    for file in sorted(resources.files(__package__).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            dialect = parse(file.read_text(encoding="utf-8"), file.name)
            found[dialect.engine] = dialect
    return found


def dialect_of(engine: str) -> Dialect:
    """The engine's dialect; *generic* if nobody wrote one."""
    known = dialects()
    return known.get(engine, known[GENERIC])


def parse(text: str, name: str) -> Dialect:
    """One file. Raises ConfigError with the file and the line."""
    document = load_located(text, name=name)
    try:
        file = _File.model_validate(document.value)
    except ValidationError as error:
        first = error.errors()[0]
        where = [str(part) for part in first["loc"]]
        raise ConfigError(
            f"{'.'.join(where)}: {first['msg']}", where=f"{name}:{document.line_of(where)}"
        ) from error
    for metric, meanings in file.metrics.items():
        for meaning in meanings:
            signal = SIGNALS.get(meaning.signal)
            if signal is None or signal.instrument not in _READABLE:
                raise ConfigError(
                    f"{metric} is mapped to {meaning.signal!r}, which is not a gauge or a counter"
                    " of the catalogue",
                    where=f"{name}:{document.line_of(['metrics', metric])}",
                )
    return Dialect(file.engine, file.verified, file.metrics)
