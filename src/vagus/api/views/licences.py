"""Licences, and the orders to grant and revoke them."""

from __future__ import annotations

from pydantic import Field

from vagus.api.views.basics import Body, Reason, View
from vagus.model import (
    Licence,
)


class LicenceView(View):
    id: str
    action: str
    component: str
    environment: str
    fault: str = Field(description="empty: any")
    valid: bool = Field(description="now")
    issued_at: float
    expires_at: float
    issued_by: str
    reason: str
    samples: int
    bound: float = Field(description="lower 95 % bound of the rate of success")
    experiments: list[str]
    revoked_at: float | None
    revoked_because: str

    @classmethod
    def of(cls, licence: Licence, now: float) -> LicenceView:
        return cls(
            id=licence.id,
            action=licence.action,
            component=licence.component,
            environment=licence.environment,
            fault=licence.fault,
            valid=licence.valid(now),
            issued_at=licence.issued_at,
            expires_at=licence.expires_at,
            issued_by=licence.issued_by,
            reason=licence.reason,
            samples=licence.samples,
            bound=licence.bound,
            experiments=list(licence.experiments),
            revoked_at=licence.revoked_at,
            revoked_because=licence.revoked_because,
        )


class GrantBody(Body):
    """A licence by hand: nothing is proven, somebody vouches for it."""

    action: str = Field(max_length=64, examples=["restart"])
    component: str = Field(max_length=128, examples=["chat"])
    fault: str = Field("", max_length=64, description="empty: any", examples=["replica-hung"])
    days: float = Field(gt=0, le=365, description="how long it is valid", examples=[30])
    reason: Reason = Field(examples=["worked in every drill since May"])


class RevokeBody(Body):
    reason: Reason = Field(examples=["the last restart made it worse"])
