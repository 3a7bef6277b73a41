"""What every group of settings is made of: strictness, names, addresses."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
)

from vagus._units import (
    PERIODS,
)


def _address(value: str) -> str:
    parts = urlsplit(value)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{value!r} has a port that is not a number from 1 to 65535") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
        raise ValueError(f"{value!r} is not an address: write it as http://host:port")
    if parts.username or parts.password:
        raise ValueError("credentials don't belong in an address: they would end up in logs")
    return value.rstrip("/")


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?", value):
        raise ValueError(f"{value!r} is not a name: use a-z, 0-9, '.', '_' and '-'")
    return value


def a_day_at_least(seconds: float) -> float:
    if seconds < PERIODS["day"]:
        raise ValueError("keep them for 1d at least: what is decided now looks back at them")
    return seconds


Address = Annotated[
    str, AfterValidator(_address), Field(json_schema_extra={"examples": ["http://127.0.0.1:8101"]})
]
Name = Annotated[str, AfterValidator(_name)]


class Strict(BaseModel):
    """Unknown keys are mistakes, and settings do not change once they are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
