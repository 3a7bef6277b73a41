"""The model's values as JSON text, and back.

One place, driven by the types themselves: a dataclass is an object with its fields by name, an enum
is its string (a number would change its meaning when the enum grows), a mapping is an object. A
field that a row does not have takes its default, so a field with a default can be added to the
model without touching rows; anything else that doesn't fit is an error and never guessed at.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from vagus.errors import StateError

T = TypeVar("T")

Decoder = Callable[[Any], Any]


def canonical(value: object) -> str:
    """JSON with sorted keys, no spaces and no rounding: equal values give equal text."""
    return json.dumps(
        encode(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def encode(value: object) -> object:
    """``value`` in the types of JSON. What JSON can't say of a number (NaN, infinities) becomes
    its name as a string."""
    if isinstance(value, Enum):
        return name_of(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(inner) for key, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        items = [encode(inner) for inner in value]
        return sorted(items, key=str) if isinstance(value, set | frozenset) else items
    raise TypeError(f"a {type(value).__name__} can't be kept as JSON")


def decode(kind: type[T], text: str) -> T:
    """The ``kind`` that :func:`canonical` wrote as ``text``."""
    hint: Any = kind
    try:
        value: T = _decoder(hint)(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"a {kind.__name__} can't be read back: {error}",
            where=text[:80],
            mend="the row was changed by hand or by another version of Vagus: restore a backup",
        ) from error
    return value


def name_of(value: Enum) -> str:
    """How an enum is written in rows: its value if that is a string, else its name."""
    return value.value if isinstance(value.value, str) else value.name


@cache
def _decoder(hint: Any) -> Decoder:
    """How to read a value of type ``hint``; made once per type."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _optional(*(h for h in inner if h is not type(None)))
    if origin is tuple:
        item = _decoder(inner[0])
        return lambda value: tuple(item(v) for v in value)
    if origin is AbstractMapping:
        item = _decoder(inner[1])
        return lambda value: {key: item(v) for key, v in value.items()}
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = {name_of(member): member for member in hint}
        return lambda value: members[value]
    if is_dataclass(hint):
        return _dataclass(hint)
    if hint is float:
        return float  # also reads "nan" and "inf"
    return _exactly(hint)


def _optional(hint: Any) -> Decoder:
    read = _decoder(hint)
    return lambda value: None if value is None else read(value)


def _exactly(hint: type) -> Decoder:
    def read(value: Any) -> Any:
        if type(value) is not hint:
            raise TypeError(f"{value!r} is not a {hint.__name__}")
        return value

    return read


def _dataclass(kind: Any) -> Decoder:
    hints = get_type_hints(kind)
    readers = [
        (f.name, _decoder(hints[f.name]), f.default is MISSING and f.default_factory is MISSING)
        for f in fields(kind)
    ]
    known = {name for name, _, _ in readers}

    def read(value: Any) -> Any:
        unknown = value.keys() - known
        if unknown:
            raise TypeError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
        return kind(
            **{
                name: reader(value[name])
                for name, reader, needed in readers
                if needed or name in value
            }
        )

    return read
