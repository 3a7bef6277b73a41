"""What may be done, when, by whom, and how patiently it is verified."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    Field,
    model_validator,
)

from vagus._mistakes import Misfit
from vagus._units import (
    PERIODS,
    ActionBudget,
    Duration,
    Rate,
    RequestRate,
    Share,
    When,
)
from vagus.config.basics import Name, Strict


class Mode(StrEnum):
    OFF = "off"
    SHADOW = "shadow"
    SUGGEST = "suggest"
    AUTO = "auto"


class FreezeWindow(Strict):
    """A time in which nothing new is begun: every week on ``days`` from one time of the day to
    another (past midnight if ``until`` is the earlier one), or once between two dates."""

    days: tuple[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], ...] = Field(
        (), description="weekdays on which it starts; none: every day, or the dates alone"
    )
    start: When = Field(alias="from", description="`18:00`, or a date with time")
    until: When = Field(description="`08:00`, or a date with time")
    timezone: str = Field("UTC", description="of the times, such as `Europe/Vienna`")
    reason: str = Field(description="said to whoever is refused")

    @model_validator(mode="after")
    def _means_a_time(self) -> FreezeWindow:
        if isinstance(self.start, datetime) != isinstance(self.until, datetime):
            raise ValueError("'from' and 'until' must both be times of the day, or both be dates")
        if isinstance(self.start, datetime) and self.days:
            raise ValueError("'days' goes with times of the day, not with dates")
        if self.start == self.until:
            raise ValueError("'from' and 'until' are the same: that is no time at all")
        start, until = self.start, self.until
        if isinstance(start, datetime) and isinstance(until, datetime) and until < start:
            raise ValueError("'until' lies before 'from'")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{self.timezone!r} is no timezone that this machine knows") from error
        return self


class PolicySettings(Strict):
    """What holds for every action."""

    floor: Share = Field(0.5, description="share of a component's capacity that stays in traffic")
    budget: ActionBudget = Field(
        default_factory=lambda: Rate(count=0.1, period=600.0),
        json_schema_extra={"default": "10% per 10m"},
        description="share of a component's replicas that may be acted upon in a time; "
        "at least one replica always may",
    )
    cooldown: Duration = Field(60.0, description="between two treatments of one replica; doubles")
    kill_switch: Path = Field(
        Path("vagus.stop"), description="while this file exists nothing is acted upon"
    )
    production: bool = Field(
        False, description="people depend on this stack: what touches a process is a tier riskier"
    )
    environment: Name = Field(
        "default",
        description="which stack this is: licences and track records are kept apart by it",
    )
    freeze: tuple[FreezeWindow, ...] = Field(
        (), description="when nothing new is begun; recoveries may finish"
    )
    rules: Path | None = Field(None, description="file of operators' rules (CEL)")
    licences: Path | None = Field(
        None, description="file of licences that were granted by hand, with owner and reason"
    )
    licence_from: Literal["R1", "R2"] = Field(
        "R2", description="smallest tier that acts alone only with a licence"
    )
    approval_timeout: Duration = Field(
        900.0, description="how long a proposal waits for people; no answer means no"
    )
    approvers: dict[Name, tuple[Name, ...]] = Field(
        default_factory=dict,
        description="groups that rules may ask: which people, by the names of their tokens",
    )

    @model_validator(mode="after")
    def _groups_have_members(self) -> PolicySettings:
        for group, people in self.approvers.items():
            if not people:
                raise Misfit(
                    "nobody is in this group, and that must never mean anybody",
                    *("policy", "approvers", group),
                )
        return self


class HealingSettings(Strict):
    """How patiently it is verified that something healed."""

    hold: Duration = Field(5.0, description="how long the evidence of health must hold")
    timeout: Duration = Field(60.0, description="until a treatment counts as unchanged")
    return_steps: tuple[Share, ...] = Field(
        (0.25, 1.0), description="shares of its traffic that are given back one after the other"
    )
    return_hold: Duration = Field(5.0, description="watching callers at each step of the return")
    warm_up: Duration = Field(
        30.0, description="how long a replica that was started may take before it is found sick"
    )
    containment: Duration = Field(3600.0, description="an override expires after this")

    @model_validator(mode="after")
    def _steps_rise_to_all(self) -> HealingSettings:
        if not self.return_steps or self.return_steps[-1] != 1.0:
            raise ValueError("return_steps must end with 100%")
        if list(self.return_steps) != sorted(set(self.return_steps)) or self.return_steps[0] <= 0:
            raise ValueError("return_steps must rise, from above 0% to 100%")
        return self


class ChaosSettings(Strict):
    """Experiments, which break things on purpose."""

    budget: RequestRate = Field(
        default_factory=lambda: Rate(count=10.0, period=PERIODS["hour"]),
        json_schema_extra={"default": "10 per hour"},
        description="experiments that may be started in a time, whoever starts them",
    )
    intents: Path = Field(Path("intents.yaml"), description="file of what must hold")
    folder: Path = Field(
        Path("chaos"), description="where undo records and results of experiments are kept"
    )
