"""What is looked at, how often, where it goes, and what callers were promised."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import (
    Field,
    model_validator,
)

from vagus._units import (
    PERIODS,
    Duration,
    Share,
    Size,
)
from vagus.config.basics import Address, Name, Strict


class Objective(Strict):
    """What callers are promised."""

    subject: Name = Field(description="the component they call")
    signal: Literal["errors"] = Field(description="what is counted: `errors`, failed requests")
    at_most: Share = Field(description="share of the requests that may be so")
    over: Duration = Field(description="the window in which they are counted")


class ExportSettings(Strict):
    """Where Vagus pushes what it says of itself."""

    otlp: Address = Field(description="OTLP over HTTP: a collector's address, without a path")
    every: Duration = Field(15.0, description="between two pushes")
    timeout: Duration = Field(5.0, description="until a push counts as failed")
    headers_env: str = Field(
        "OTEL_EXPORTER_OTLP_HEADERS",
        description="environment variable with headers to send, as `name=value,name=value`",
    )

    @model_validator(mode="after")
    def _not_all_the_time(self) -> ExportSettings:
        if self.every < 1 or self.timeout <= 0:
            raise ValueError("'every' is 1s at least, and 'timeout' more than nothing")
        return self


class TelemetrySettings(Strict):
    """How often the stack is looked at."""

    interval: Duration = Field(1.0, description="between two scrapes of a target: the grid")
    timeout: Duration = Field(2.0, description="until a silent target counts as missing")
    probe_timeout: Duration = Field(5.0, description="until a probe counts as unanswered")
    probe_interval: Duration = Field(10.0, description="between two probes of a healthy replica")
    probe_interval_suspect: Duration = Field(0.5, description="the same while it is suspect")
    history: Path | None = Field(
        None, description="folder of recordings, for replay and `vagus query`"
    )
    history_keep: Duration = Field(7 * PERIODS["day"], description="recordings older go")
    history_size: Size = Field(
        1 << 30, description="packed recordings may take this much; the oldest go first"
    )
    baselines: Path | None = Field(
        None,
        description="file in which what is normal is kept over a restart; without it, beside a "
        "`state` that is a file",
    )
    otlp_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port on loopback where OTLP over HTTP and Prometheus's remote write are "
        "received; 4318 by convention, 0 takes any free one; off unless it is set",
    )
    export: ExportSettings | None = Field(
        None, description="push Vagus's own metrics, and each incident as a trace"
    )


class SignalSettings(Strict):
    """What you know better of a signal than the catalogue does."""

    watch: bool = Field(True, description="whether baselines judge it at all")
    worse: Literal["up", "down"] | None = Field(None, description="which direction is bad")
    floor: float | None = Field(
        None, ge=0, description="a deviation that is smaller never matters; in the signal's unit"
    )
    min_samples: int | None = Field(
        None, ge=1, description="values that must have been seen before anything is judged"
    )


LEAST_PAUSE = 0.01  # s between two searches of a collection


class RetrievalSettings(Strict):
    """How searches of vector stores are judged: each is made twice, as callers make it and exactly,
    and what callers get is held against what is promised."""

    recall: Share = Field(
        0.9, description="of the nearest rows that searches are promised to find, in each cluster"
    )
    k: int = Field(10, ge=1, le=1000, description="rows that a search asks for")
    interval: Duration = Field(2.0, description="between two searches of a collection")
    interval_suspect: Duration = Field(0.2, description="the same while it is suspect")
    timeout: Duration = Field(5.0, description="until a search counts as unanswered")
    golden: Path = Field(
        Path("golden.yaml"), description="file of golden queries, which `vagus golden` writes"
    )

    @model_validator(mode="after")
    def _can_be_promised(self) -> RetrievalSettings:
        if not 0 < self.recall < 1:
            raise ValueError("'recall' lies between 0% and 100%: no approximate index keeps 100%")
        if min(self.interval, self.interval_suspect) < LEAST_PAUSE:
            raise ValueError(f"searches without a pause of {LEAST_PAUSE * 1e3:.0f}ms are a load")
        return self
