"""Remediation: traffic as it is desired, on top of the stack as declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vagus.model.subject import Subject


class Aspect(StrEnum):
    """What an override changes of a replica, compared with the stack as declared."""

    HEALTH = "health"  # "unhealthy" (no traffic) | "draining" (no new traffic)
    WEIGHT = "weight"  # share of its normal traffic, "0.25"
    MEMBER = "member"  # an added replica: its address; "" removes a declared one


@dataclass(frozen=True, slots=True)
class Override:
    """One row of desired state on top of the stack as declared. Undo removes the row."""

    subject: Subject
    aspect: Aspect
    value: str
    incident: str
    created_at: float
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica as the gateway shall treat it."""

    replica: str
    address: str  # http://host:port
    health: str = "healthy"  # healthy | unhealthy | draining
    share: float = 1.0  # of the traffic a full member gets


Traffic = Mapping[str, tuple[Endpoint, ...]]  # component -> endpoints: the gateway's desired state
