"""Licences that were granted by hand, in a file beside the configuration::

    licences:
      - action: replace
        component: chat
        owner: ada
        reason: rehearsed on staging, 12 of 12
        days: 30
        fault: replica-gone          # any fault unless given

A grant is a person's word in place of a proof, so it says whose word it is and why, and it ends. It
begins when it is first read. Its identity is what it says: reading the file again grants nothing
anew, one that was revoked stays revoked, and whoever wants to renew one has to write something.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vagus._mistakes import first_mistake
from vagus._yaml import Located, load_located
from vagus.config import Name, Settings
from vagus.errors import ConfigError
from vagus.licensing import FROM_FILE
from vagus.model import PROOF_NEEDED, VAGUS, Licence
from vagus.policy.tiers import FLOORS, floor_of

DAY = 86_400.0
LONGEST_DAYS = 365  # who vouches for a remedy looks at it once a year
_HIGHEST = max(PROOF_NEEDED)  # from the next tier on people decide, whatever is granted


class _Grant(BaseModel):
    """One grant as it is written."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    action: str = Field(description="which remedy may act alone")
    component: Name = Field(description="on which component of the stack")
    owner: str = Field(min_length=1, max_length=60, description="who vouches for it")
    reason: str = Field(min_length=1, max_length=200, description="why")
    days: int = Field(ge=1, le=LONGEST_DAYS, description="how long, from when it is first read")
    fault: str = Field("", description="for which fault; any unless given")


class _GrantFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    licences: tuple[_Grant, ...]


def load_grants(
    path: Path, settings: Settings, *, now: float, faults: Sequence[str] = ()
) -> tuple[Licence, ...]:
    """The grants in ``path``. Raises ConfigError with the file, the line and the mend."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"can't be read: {error}", where=str(path), mend="see policy.licences in vagus.yaml"
        ) from error
    return parse_grants(text, settings, now=now, name=str(path), faults=faults)


def parse_grants(
    text: str,
    settings: Settings,
    *,
    now: float,
    name: str = "licences.yaml",
    faults: Sequence[str] = (),
) -> tuple[Licence, ...]:
    """Grants for the stack of ``settings``, from YAML text; they begin ``now``. ``faults``: those
    that a diagnosis can name; empty: they can't be checked."""
    document = load_located(text, name=name)
    if not isinstance(document.value, Mapping):
        raise ConfigError("is not a mapping", where=name, mend="start with 'licences:'")
    try:
        written = _GrantFile.model_validate(document.value).licences
    except ValidationError as error:
        raise first_mistake(error, _GrantFile, document, name) from error
    licences: dict[str, Licence] = {}
    for index, grant in enumerate(written):
        _check(grant, settings, faults, _Place(document, name, index))
        licence = _licence(grant, settings.policy.environment, now)
        if licence.id in licences:
            raise ConfigError(
                "this grant stands twice", where=_Place(document, name, index).line("action")
            )
        licences[licence.id] = licence
    return tuple(licences.values())


class _Place:
    """Where one grant stands in its file."""

    def __init__(self, document: Located, name: str, index: int) -> None:
        self._document, self._name, self._index = document, name, index

    def line(self, key: str) -> str:
        line = self._document.line_of(["licences", str(self._index), key])
        return f"{self._name}:{line}"


def _check(grant: _Grant, settings: Settings, faults: Sequence[str], place: _Place) -> None:
    if grant.action not in FLOORS:
        known = ", ".join(sorted(FLOORS))
        raise ConfigError(
            f"unknown action {grant.action!r}", where=place.line("action"), mend=f"known: {known}"
        )
    floor = floor_of(grant.action)
    if floor > _HIGHEST:
        raise ConfigError(
            f"{grant.action} is {floor.name}, which people decide each time",
            where=place.line("action"),
            mend=f"a licence is of use up to {_HIGHEST.name}: remove this grant",
        )
    if grant.component not in settings.stack:
        known = ", ".join(sorted(settings.stack))
        raise ConfigError(
            f"{grant.component!r} is not in stack", where=place.line("component"), mend=known
        )
    if grant.owner.strip().casefold() in ("", VAGUS):
        raise ConfigError(
            f"{grant.owner!r} is nobody who can vouch for it",
            where=place.line("owner"),
            mend="name a person: what Vagus itself issues is earned and never written",
        )
    if faults and grant.fault and grant.fault not in faults:
        known = ", ".join(sorted(faults))
        raise ConfigError(
            f"unknown fault {grant.fault!r}", where=place.line("fault"), mend=f"known: {known}"
        )


def _licence(grant: _Grant, environment: str, now: float) -> Licence:
    said = json.dumps([grant.model_dump(mode="json"), environment], sort_keys=True)
    return Licence(
        id=f"{FROM_FILE}{hashlib.sha256(said.encode()).hexdigest()[:12]}",
        action=grant.action,
        component=grant.component,
        environment=environment,
        fault=grant.fault,
        issued_at=now,
        expires_at=now + grant.days * DAY,
        issued_by=grant.owner.strip(),
        reason=grant.reason,
    )
