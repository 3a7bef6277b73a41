"""Resilience intents: what must hold, not how to break things. The file ``intents.yaml``::

    intents:
      - name: chat-survives-a-kill
        subject: chat                    # a component (any one of its replicas), or chat/chat-2
        disturbance: kill                # a fault, or {fault: slow, factor: 10}
        holds:                           # for callers, all the while
          - {subject: rag, signal: errors, at_most: 5%}
        detected_within: 10s
        recovered_within: 60s
        may: [eject, restart, restore]   # the only remedies that may act; left out: any
        must: [restart]                  # those without which it was luck
        blast_cap: 34%

Without ``detected_within`` the disturbance is one that must *not* be healed, such as a target of
scrapes that lies: nothing may act on it while it lasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vagus._mistakes import Misfit, first_mistake
from vagus._units import Duration, Share
from vagus._yaml import load_located
from vagus.config import Name
from vagus.errors import ConfigError

_SUBJECT = r"^[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)?$"

Where = Annotated[str, Field(pattern=_SUBJECT)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Invariant(_Strict):
    """What callers of ``subject`` are promised while it is broken."""

    subject: Name = Field(description="a component")
    signal: Literal["errors", "time_to_first_token"] = Field(
        description="the share of requests that fail, or the 95th percentile of the wait"
    )
    at_most: Share | Duration = Field(description="such as 5%, or 3s")

    @model_validator(mode="before")
    @classmethod
    def _fits_its_signal(cls, written: object) -> object:
        if isinstance(written, Mapping):
            share = str(written.get("at_most", "")).strip().endswith("%")
            if written.get("signal") == "errors" and not share:
                raise ValueError("at_most of errors is a share, such as 5%")
            if written.get("signal") == "time_to_first_token" and share:
                raise ValueError("at_most of time_to_first_token is a duration, such as 3s")
        return written

    def __str__(self) -> str:
        bound = f"{self.at_most:.3g} s" if self.signal != "errors" else f"{self.at_most:.1%}"
        return f"{self.signal} of {self.subject} at most {bound}"


class Disturbance(_Strict):
    fault: str = Field(min_length=1)
    parameters: dict[str, int | float | str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, written: object) -> object:
        if isinstance(written, str):
            return {"fault": written}
        if isinstance(written, Mapping) and "parameters" not in written:
            rest = {str(key): value for key, value in written.items() if key != "fault"}
            return {"fault": written.get("fault", ""), "parameters": rest}
        return written


class ResilienceIntent(_Strict):
    name: Name
    subject: Where
    disturbance: Disturbance
    holds: tuple[Invariant, ...] = ()
    detected_within: Duration | None = None
    recovered_within: Duration = 120.0
    may: tuple[str, ...] = ()
    must: tuple[str, ...] = ()
    blast_cap: Share = 0.5
    schedule: str = Field("", description="kept for whoever runs game days; not used by itself")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> ResilienceIntent:
        if self.may and not set(self.must) <= set(self.may):
            raise ValueError("what must act must be among what may")
        if self.detected_within is None and self.must:
            raise ValueError("what must be healed must be detected: give detected_within")
        return self

    @property
    def component(self) -> str:
        return self.subject.partition("/")[0]

    @property
    def replica(self) -> str:
        """Empty: any one."""
        return self.subject.partition("/")[2]

    @property
    def lasts(self) -> float:
        """Seconds after which the experiment is over, whatever was seen."""
        return (self.detected_within or 0.0) + self.recovered_within


class IntentFile(_Strict):
    intents: tuple[ResilienceIntent, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_distinct(self) -> IntentFile:
        seen: set[str] = set()
        for index, intent in enumerate(self.intents):
            if intent.name in seen:
                raise Misfit(f"{intent.name!r} stands twice", "intents", str(index), "name")
            seen.add(intent.name)
        return self


def parse_intents(text: str, *, name: str) -> tuple[ResilienceIntent, ...]:
    """Raises ConfigError with the line and the mend."""
    document = load_located(text, name=name)
    if not isinstance(document.value, Mapping):
        raise ConfigError("is not a mapping", where=name, mend="start with 'intents:'")
    try:
        return IntentFile.model_validate(document.value).intents
    except ValidationError as error:
        raise first_mistake(error, IntentFile, document, name) from error


def load_intents(path: Path) -> tuple[ResilienceIntent, ...]:
    """Raises ConfigError if there is no such file, or it has a mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the intents can't be read: {error}",
            where=str(path),
            mend="write one, or let 'vagus chaos design' show what it could say",
        ) from error
    return parse_intents(text, name=str(path))
