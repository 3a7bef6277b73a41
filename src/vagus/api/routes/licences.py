"""Licences: which remedies may act alone. People take them away, or vouch for one by hand."""

from __future__ import annotations

import secrets
from http import HTTPStatus

from fastapi import APIRouter

from vagus import licensing
from vagus.api.access import Caller, Works, needs
from vagus.api.audit import changing
from vagus.api.pages import Id
from vagus.api.problems import Problem
from vagus.api.served import Served
from vagus.api.views.basics import Page
from vagus.api.views.licences import GrantBody, LicenceView, RevokeBody
from vagus.errors import NotFound
from vagus.model import Licence, Role

router = APIRouter(prefix="/licences", tags=["licences"])

_DAY = 86400.0


@router.get("", **needs(Role.VIEWER))
def list_licences(works: Works) -> Page[LicenceView]:
    """Every licence, also expired and revoked ones, oldest first."""
    now = works.clock.now()
    return Page(items=[LicenceView.of(licence, now) for licence in works.licences.all()])


@router.post(
    "", status_code=HTTPStatus.CREATED, **needs(Role.ADMIN, HTTPStatus.UNPROCESSABLE_ENTITY)
)
def grant_licence(works: Works, caller: Caller, asked: GrantBody) -> LicenceView:
    """Grant one by hand. It is labelled as such wherever it is shown."""
    _check(works, asked)
    now = works.clock.now()
    licence = Licence(
        id=f"lic-{secrets.token_hex(6)}",
        action=asked.action,
        component=asked.component,
        environment=works.settings.policy.environment,
        fault=asked.fault,
        issued_at=now,
        expires_at=now + asked.days * _DAY,
        issued_by=caller.name,
        reason=asked.reason,
    )
    granted = changing(
        works,
        caller,
        f"grant {licence.id}",
        lambda: licensing.issue(licence, works.licences, works.ledger),
        asked.reason,
    )
    return LicenceView.of(granted, now)


@router.post("/{licence_id}/revocation", **needs(Role.ADMIN, HTTPStatus.NOT_FOUND))
def revoke_licence(works: Works, caller: Caller, licence_id: Id, asked: RevokeBody) -> LicenceView:
    """Take it away. Revoking twice is once."""

    def work() -> Licence:
        if all(licence.id != licence_id for licence in works.licences.all()):
            raise NotFound("there is no such licence", where=licence_id)
        return licensing.revoke(
            licence_id, asked.reason, works.licences, works.ledger, by=caller.name
        )

    revoked = changing(works, caller, f"revoke {licence_id}", work, asked.reason)
    return LicenceView.of(revoked, works.clock.now())


def _check(works: Served, asked: GrantBody) -> None:
    """Raises Problem 422 for what this stack does not have: a licence with a slip of the pen would
    lie there and never be valid for anything."""
    for what, name, known in (
        ("action", asked.action, works.remedies),
        ("component", asked.component, works.settings.stack),
        ("fault", asked.fault, {"", *works.faults}),
    ):
        if name not in known:
            there = ", ".join(sorted(filter(None, known)))
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"there is no such {what} here",
                mend=f"one of: {there}",
            )
