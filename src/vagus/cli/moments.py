"""Moments as people write them: how long ago, or when."""

from __future__ import annotations

from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from vagus._units import Duration
from vagus.errors import ConfigError


def moment_of(text: str, now: float, where: str) -> float:
    """``12h`` before ``now``, or ``2026-12-24 18:00`` on this machine's clock unless it says its
    zone. Seconds since the epoch. Raises ConfigError."""
    try:
        return now - span_of(text, where)
    except ConfigError:
        try:
            return datetime.fromisoformat(text).astimezone().timestamp()
        except (ValueError, OverflowError, OSError) as error:
            mend = "write it as 12h, 7d or 30d, or as 2026-12-24 18:00"
            raise ConfigError(
                f"{text!r} is neither a duration nor a time", where=where, mend=mend
            ) from error


def span_of(text: str, where: str) -> float:
    """``5m`` in seconds. Raises ConfigError."""
    try:
        return TypeAdapter[float](Duration).validate_python(text)
    except ValidationError as error:
        raise ConfigError(
            f"{text!r} is not a duration", where=where, mend="write it as 30s, 5m or 12h"
        ) from error
