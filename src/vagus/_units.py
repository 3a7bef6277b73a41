"""How quantities are written in ``vagus.yaml``: always with their unit.

``cooldown: 5`` could be seconds or minutes, and ``at_most: 1`` one percent or all; both are refused
with the forms that would be understood. Inside, durations are seconds and shares lie
between 0 and 1.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
PERIODS = {"hour": 3600.0, "day": 86400.0, "week": 604800.0, "month": 30 * 86400.0}

_NUMBER = r"\d{1,12}(?:\.\d{1,12})?"
_DURATION = re.compile(rf"^\s*({_NUMBER})\s*(ms|s|m|h|d|w)\s*$", re.ASCII)
_SHARE = re.compile(rf"^\s*({_NUMBER})\s*%\s*$", re.ASCII)
_BUDGET = re.compile(r"^\s*(\S+)\s+per\s+(\S+)\s*$")
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


def _budget(value: object) -> object:
    found = _BUDGET.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError("a budget of actions is written as '10% per 10m'")
    return {"count": _share(found[1]), "period": _duration(found[2])}


def written_duration(seconds: float) -> str:
    """``90.0`` -> ``90s``: in the largest unit that needs no fraction."""
    for unit, size in sorted(_UNITS.items(), key=lambda item: -item[1]):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def written_share(share: float) -> str:
    """``0.5`` -> ``50%``."""
    return f"{share * 100:g}%"


DURATION_SCHEMA = {"type": "string", "pattern": _DURATION.pattern, "examples": ["3s", "10m"]}
SHARE_SCHEMA = {"type": "string", "pattern": _SHARE.pattern, "examples": ["50%"]}
_ALARMS_SCHEMA = {"type": "string", "pattern": _ALARMS.pattern, "examples": ["1 per week"]}
_BUDGET_SCHEMA = {"type": "string", "pattern": _BUDGET.pattern, "examples": ["10% per 10m"]}

Duration = Annotated[float, BeforeValidator(_duration), WithJsonSchema(DURATION_SCHEMA)]
Share = Annotated[float, BeforeValidator(_share), WithJsonSchema(SHARE_SCHEMA)]
AlarmBudget = Annotated[Rate, BeforeValidator(_alarms), WithJsonSchema(_ALARMS_SCHEMA)]
ActionBudget = Annotated[Rate, BeforeValidator(_budget), WithJsonSchema(_BUDGET_SCHEMA)]
