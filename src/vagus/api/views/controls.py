"""The mode, and the kill switch."""

from __future__ import annotations

from pydantic import Field

from vagus.api.views.basics import Body, Reason, View
from vagus.config import Mode
from vagus.model import (
    Stop,
)


class ModeView(View):
    mode: Mode = Field(description="in force", examples=["suggest"])
    declared: Mode = Field(description="in the configuration", examples=["auto"])
    chosen: str | None = Field(description="by a person, over the configuration's")


class ModeBody(Body):
    mode: Mode = Field(examples=["suggest"])
    reason: Reason = Field(examples=["noisy night, I want to be asked"])


class SwitchView(View):
    where: str = Field(description="`state` (set through the API) or `file`")
    owner: str
    reason: str
    at: float | None


class StopView(View):
    """The kill switch. It is set if either of its two places says so."""

    stopped: bool
    switches: list[SwitchView]

    @classmethod
    def of(cls, state: Stop | None, file: Stop | None) -> StopView:
        found = {"state": state, "file": file}
        switches = [
            SwitchView(where=where, owner=stop.owner, reason=stop.reason, at=stop.at)
            for where, stop in found.items()
            if stop is not None
        ]
        return cls(stopped=bool(switches), switches=switches)


class StopBody(Body):
    reason: Reason = Field(examples=["migration until 14:00"])
