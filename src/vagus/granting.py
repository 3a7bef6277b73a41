"""Licences by hand, checked against this stack: those of the file of grants, and a single one.

A grant with a slip of the pen would lie there and never be valid for anything, so both ways lead
through the same checks: the action, the component and the fault exist, and somebody signs for it.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace

from vagus.config import Settings
from vagus.diagnosis.faults import FAULTS
from vagus.model import Licence
from vagus.policy.grants import load_grants, parse_grants


def grants_of(settings: Settings, now: float) -> tuple[Licence, ...]:
    """What the file of grants holds; nothing if there is none. Raises ConfigError with the line."""
    path = settings.policy.licences
    if path is None:
        return ()
    return load_grants(path, settings, now=now, faults=tuple(FAULTS))


def by_hand(
    settings: Settings,
    *,
    action: str,
    component: str,
    fault: str,
    days: int,
    owner: str,
    reason: str,
    now: float,
) -> Licence:
    """One licence that ``owner`` vouches for, not issued yet. Raises ConfigError for what this
    stack does not have."""
    written = {
        "action": action,
        "component": component,
        "fault": fault,
        "days": days,
        "owner": owner,
        "reason": reason,
    }
    (licence,) = parse_grants(
        json.dumps({"licences": [written]}),  # which is YAML too
        settings,
        now=now,
        name="the grant",
        faults=tuple(FAULTS),
    )
    # Not one of the file's: those are revoked when they don't stand in it.
    return replace(licence, id=f"lic-{secrets.token_hex(6)}")
