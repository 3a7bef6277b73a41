"""What may stand behind ``engine:`` and ``metrics:`` in ``vagus.yaml``.

An engine is known if there is a dialect file of its name: the files are read by telemetry, but that
a name is mistyped has to be said when the settings are read, with the line. An unknown engine would
otherwise be watched by nothing but probes, and nobody would learn why.

The user's own mapping has the form of a dialect file, so what was written for one can be moved into
the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vagus.model.signals import SIGNALS, Instrument

GENERIC = "generic"

_SUFFIX = ".yaml"


@cache
def known_engines() -> tuple[str, ...]:
    """The names of the dialect files."""
    folder = resources.files("vagus").joinpath("telemetry", "dialects")
    names = (file.name for file in folder.iterdir())
    return tuple(sorted(n.removesuffix(_SUFFIX) for n in names if n.endswith(_SUFFIX)))


def _engine(value: str) -> str:
    if value not in known_engines():
        raise ValueError(
            f"{value!r} is no engine that Vagus knows (there are: {', '.join(known_engines())}); "
            f"for another one write {GENERIC!r}, and its metrics under 'metrics'"
        )
    return value


def _readable(value: str) -> str:
    signal = SIGNALS.get(value)
    if signal is None or signal.instrument is Instrument.TALLY:
        raise ValueError(
            f"{value!r} is no signal that a metric can be: see docs/reference/signals.md"
        )
    return value


class Meaning(BaseModel):
    """One signal that a metric is, or is a part of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signal: Annotated[str, AfterValidator(_readable)] = Field(
        description="its name in the catalogue"
    )
    scale: float = Field(
        1.0,
        gt=0,
        allow_inf_nan=False,
        description="the metric times this is in the unit of the signal: 0.001 for milliseconds",
    )
    where: dict[str, str] = Field(
        default_factory=dict, description="only series with these labels; `*` and `?` are wild"
    )
    unless: dict[str, str] = Field(
        default_factory=dict, description="no series with any of these labels"
    )

    def holds(self, labels: Mapping[str, str]) -> bool:
        return all(fnmatchcase(labels.get(k, ""), want) for k, want in self.where.items()) and not (
            any(fnmatchcase(labels.get(k, ""), bad) for k, bad in self.unless.items())
        )


EngineName = Annotated[
    str, AfterValidator(_engine), Field(json_schema_extra={"enum": list(known_engines())})
]
Metrics = dict[str, tuple[Meaning, ...]]
"""Name of a metric -> what it means. A histogram is named without ``_bucket``."""
