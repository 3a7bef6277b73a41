"""How quantities are written in ``vagus.yaml``: always with their unit.

``cooldown: 5`` could be seconds or minutes, and ``at_most: 1`` one percent or all; both are refused
with the forms that would be understood. Inside, durations are seconds and shares lie
between 0 and 1.
"""

from __future__ import annotations

import re
from datetime import datetime, time
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
PERIODS = {
    "second": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "day": 86400.0,
    "week": 604800.0,
    "month": 30 * 86400.0,
}

_SIZES = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}

_NUMBER = r"\d{1,12}(?:\.\d{1,12})?"
_DURATION = re.compile(rf"^\s*({_NUMBER})\s*(ms|s|m|h|d|w)\s*$", re.ASCII)
_SIZE = re.compile(r"^\s*(\d{1,6})\s*(KiB|MiB|GiB|TiB)\s*$", re.ASCII)
_SHARE = re.compile(rf"^\s*({_NUMBER})\s*%\s*$", re.ASCII)
_BUDGET = re.compile(r"^\s*(\S+)\s+per\s+(\S+)\s*$")
_REQUESTS = re.compile(r"^\s*(\d{1,9})\s+per\s+(second|minute|hour)\s*$", re.ASCII)
_WHEN = re.compile(r"^(\d{4}-\d\d-\d\d[ T])?\d\d:\d\d(:\d\d)?$", re.ASCII)
_ALARMS = re.compile(r"^\s*(\d{1,9})\s+per\s+(hour|day|week|month)\s*$", re.ASCII)


class Rate(BaseModel):
    """So many in such a time (seconds)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: float
    period: float


def _duration(value: object) -> object:
    if isinstance(value, str):
        found = _DURATION.fullmatch(value)
        if not found:
            raise ValueError(f"{value!r} is not a duration: write it as 500ms, 3s, 10m, 2h or 30d")
        return float(found[1]) * _UNITS[found[2]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a duration is written as 500ms, 3s, 10m, 2h or 30d")
    if value != 0:
        raise ValueError(f"{value} has no unit: write it as {value}s, {value}m or {value}h")
    return 0.0


def _size(value: object) -> object:
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"{value!r} is not a size: write it as 500MiB or 10GiB")
    return int(found[1]) * _SIZES[found[2]]


def _share(value: object) -> object:
    found = _SHARE.fullmatch(value) if isinstance(value, str) else None
    share = float(found[1]) / 100 if found else value
    if isinstance(share, float) and 0 <= share <= 1:
        return share
    if share == 0 and not isinstance(share, bool):
        return 0.0
    raise ValueError(f"{value!r} is not a share: write it as a percentage, from 0% to 100%")


def _alarms(value: object) -> object:
    found = _ALARMS.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("a false-alarm budget is written as '1 per week' (hour, day, week, month)")
    return {"count": float(found[1]), "period": PERIODS[found[2]]}


def _requests(value: object) -> object:
    found = _REQUESTS.fullmatch(value) if isinstance(value, str) else None
    if not found or found[1].strip("0") == "":
        raise ValueError("a rate of requests is written as '50 per second' (second, minute, hour)")
    return {"count": float(found[1]), "period": PERIODS[found[2]]}


def _budget(value: object) -> object:
    found = _BUDGET.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("a budget of actions is written as '10% per 10m'")
    return {"count": _share(found[1]), "period": _duration(found[2])}


def _when(value: object) -> object:
    """Text only: to a lenient parser ``18`` is eighteen seconds past midnight."""
    if not isinstance(value, str) or not (found := _WHEN.fullmatch(value.strip())):
        raise ValueError(f"{value!r} is not a time: write it as 18:00, or as 2026-12-24 18:00")
    try:
        return (datetime if found[1] else time).fromisoformat(found[0])
    except ValueError as error:
        raise ValueError(f"{value!r} is no time that there is: {error}") from error


def written_duration(seconds: float) -> str:
    """``90.0`` -> ``90s``: in the largest unit that needs no fraction."""
    for unit, size in sorted(_UNITS.items(), key=lambda item: -item[1]):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def written_size(size: float) -> str:
    """``1 << 30`` -> ``1GiB``: in the largest unit that needs no fraction."""
    unit = max((u for u in _SIZES if size % _SIZES[u] == 0), key=lambda u: _SIZES[u])
    return f"{size / _SIZES[unit]:.0f}{unit}"


def written_share(share: float) -> str:
    """``0.5`` -> ``50%``."""
    return f"{share * 100:g}%"


DURATION_SCHEMA = {"type": "string", "pattern": _DURATION.pattern, "examples": ["3s", "10m"]}
SIZE_SCHEMA = {"type": "string", "pattern": _SIZE.pattern, "examples": ["10GiB"]}
SHARE_SCHEMA = {"type": "string", "pattern": _SHARE.pattern, "examples": ["50%"]}
_WHEN_SCHEMA = {
    "type": "string",
    "pattern": _WHEN.pattern,
    "examples": ["18:00", "2026-12-24 18:00"],
}
_ALARMS_SCHEMA = {"type": "string", "pattern": _ALARMS.pattern, "examples": ["1 per week"]}
_REQUESTS_SCHEMA = {
    "type": "string",
    "pattern": _REQUESTS.pattern,
    "examples": ["50 per second"],
}
_BUDGET_SCHEMA = {"type": "string", "pattern": _BUDGET.pattern, "examples": ["10% per 10m"]}

Duration = Annotated[float, BeforeValidator(_duration), WithJsonSchema(DURATION_SCHEMA)]
Size = Annotated[int, BeforeValidator(_size), WithJsonSchema(SIZE_SCHEMA)]
Share = Annotated[float, BeforeValidator(_share), WithJsonSchema(SHARE_SCHEMA)]
When = Annotated[time | datetime, BeforeValidator(_when), WithJsonSchema(_WHEN_SCHEMA)]
AlarmBudget = Annotated[Rate, BeforeValidator(_alarms), WithJsonSchema(_ALARMS_SCHEMA)]
ActionBudget = Annotated[Rate, BeforeValidator(_budget), WithJsonSchema(_BUDGET_SCHEMA)]
RequestRate = Annotated[Rate, BeforeValidator(_requests), WithJsonSchema(_REQUESTS_SCHEMA)]
