"""Dialects: what an engine calls the signals of the catalogue, one small file an engine.

A metric with labels is summed over them; a dialect can keep only some (``where``) and scale the
unit. An engine without a file of its own speaks *generic*, which knows no metrics: its replicas are
still watched by the gateway and by probes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vagus._yaml import load_located
from vagus.errors import ConfigError
from vagus.telemetry.signals import SIGNALS


class _Metric(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    signal: str
    scale: float = 1.0
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str
    verified: bool  # against a recording of a real server
    metrics: dict[str, tuple[_Metric, ...]]


@dataclass(frozen=True)
class Dialect:
    engine: str
    verified: bool
    metrics: Mapping[str, tuple[_Metric, ...]]

    def signals_of(self, name: str, labels: Mapping[str, str]) -> list[tuple[str, float]]:
        """(signal, scale) of each signal that a series of this name and labels adds to."""
        return [
            (metric.signal, metric.scale)
            for metric in self.metrics.get(name, ())
            if all(labels.get(key) in values for key, values in metric.where.items())
        ]


@cache
def dialects() -> Mapping[str, Dialect]:
    """Every dialect by its engine's name, read and checked once."""
    found = {}
    for file in resources.files(__package__).iterdir():
        if file.name.endswith(".yaml"):
            dialect = _parse(file.read_text(encoding="utf-8"), file.name)
            found[dialect.engine] = dialect
    return found


def dialect_of(engine: str) -> Dialect:
    """The engine's dialect; *generic* if nobody wrote one."""
    known = dialects()
    return known.get(engine, known["generic"])


def _parse(text: str, name: str) -> Dialect:
    document = load_located(text, name=name)
    try:
        file = _File.model_validate(document.value)
    except ValidationError as error:
        first = error.errors()[0]
        where = [str(part) for part in first["loc"]]
        raise ConfigError(
            f"{'.'.join(where)}: {first['msg']}", where=f"{name}:{document.line_of(where)}"
        ) from error
    for metric, targets in file.metrics.items():
        for target in targets:
            if target.signal not in SIGNALS:
                raise ConfigError(
                    f"{metric} is mapped to {target.signal!r}, which is not in the catalogue",
                    where=f"{name}:{document.line_of(['metrics', metric])}",
                )
    return Dialect(file.engine, file.verified, file.metrics)
