"""An incident as tools for traces show it: a span for it, and one for each thing in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Attribute = str | bool | int | float | tuple[str, ...]


def _none() -> Mapping[str, Attribute]:
    return {}


@dataclass(frozen=True, slots=True)
class SpanEvent:
    name: str
    at: float
    attributes: Mapping[str, Attribute] = field(default_factory=_none)


@dataclass(frozen=True, slots=True)
class Span:
    """Something that took from ``began`` to ``ended`` (s since the epoch). ``key`` is what it is
    known by in its trace, the same whenever the trace is made again. ``ok`` is None where success
    is not what it is about; ``error`` says in a few words what went wrong."""

    key: str
    name: str
    began: float
    ended: float
    attributes: Mapping[str, Attribute]
    events: tuple[SpanEvent, ...] = ()
    ok: bool | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """``key`` is what it is known by everywhere: two traces of one key are the same incident."""

    key: str
    root: Span
    children: tuple[Span, ...]
