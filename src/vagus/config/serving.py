"""Where Vagus itself is reached, and whom it tells."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import (
    Field,
    model_validator,
)

from vagus._units import (
    PERIODS,
    Rate,
    RequestRate,
)
from vagus.config.basics import Name, Strict


class ApiSettings(Strict):
    """Where Vagus serves its API and its own ``/metrics`` and ``/healthz``."""

    host: Literal["127.0.0.1", "::1", "localhost"] = Field(
        "127.0.0.1", description="loopback only; put a proxy in front to reach it from elsewhere"
    )
    port: int = Field(9190, ge=0, le=65535, description="0 takes any free one")
    hosts: tuple[str, ...] = Field(
        (),
        description="names under which a proxy in front passes requests on, beside those of "
        "loopback; a request for any other host is refused",
    )
    rate: RequestRate = Field(
        default_factory=lambda: Rate(count=50.0, period=PERIODS["second"]),
        json_schema_extra={"default": "50 per second"},
        description="requests that a token may make, and an address without one",
    )


class Occasion(StrEnum):
    PROPOSED = "proposed"  # a person must answer
    ESCALATED = "escalated"  # a person is needed
    ACTED = "acted"  # something of R2 or above was done
    RESOLVED = "resolved"
    STOPPED = "stopped"  # the kill switch was set or lifted, or the mode changed


class NotifyTarget(Strict):
    """One place that is told. Its address holds secrets, so it is not written here."""

    name: Name = Field(description="what it is called in logs and errors")
    url_env: str | None = Field(None, description="environment variable with its Apprise URL")
    url_file: Path | None = Field(None, description="file with its Apprise URL")
    occasions: tuple[Occasion, ...] = Field(
        (Occasion.PROPOSED, Occasion.ESCALATED, Occasion.ACTED), description="what it is told of"
    )

    @model_validator(mode="after")
    def _has_an_address(self) -> NotifyTarget:
        if (self.url_env is None) == (self.url_file is None):
            raise ValueError("give one of url_env and url_file: where its Apprise URL is kept")
        return self
