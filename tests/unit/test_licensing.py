"""Licences by hand: from a file that is followed, and one by one; each with its entry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vagus import config
from vagus.clock import ManualClock
from vagus.errors import ConfigError, StateError
from vagus.granting import by_hand, grants_of
from vagus.licensing import FROM_FILE, follow_file, issue, revoke
from vagus.model import Licence
from vagus.state.db import Database, open_database
from vagus.state.ledger import Ledger
from vagus.state.licences import Licences

DAY = 86_400.0
STACK = """
stack: {chat: {kind: model-server}}
policy: {licences: licences.yaml, environment: staging}
"""
ADAS = """\
licences:
  - {action: replace, component: chat, owner: ada, reason: rehearsed 12 times, days: 30}
"""
NOBODYS = "licences: []\n"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def database(tmp_path: Path, clock: ManualClock) -> Iterator[Database]:
    database = open_database(f"sqlite:///{tmp_path / 'vagus.db'}", clock)
    yield database
    database.close()


@pytest.fixture
def licences(database: Database) -> Licences:
    return Licences(database)


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


def settings(folder: Path, grants: str | None) -> config.Settings:
    (folder / "vagus.yaml").write_text(STACK if grants is not None else STACK.split("policy")[0])
    (folder / "licences.yaml").write_text(grants or "")
    return config.load(folder / "vagus.yaml")


def start(
    folder: Path, grants: str | None, clock: ManualClock, licences: Licences, ledger: Ledger
) -> list[Licence]:
    """What happens to licences when Vagus starts."""
    follow_file(grants_of(settings(folder, grants), clock.now()), licences, ledger)
    return list(licences.all())


def test_a_grant_of_the_file_is_issued_once_and_labelled(
    tmp_path: Path, clock: ManualClock, licences: Licences, ledger: Ledger
) -> None:
    (first,) = start(tmp_path, ADAS, clock, licences, ledger)
    clock.advance(DAY)
    assert start(tmp_path, ADAS, clock, licences, ledger) == [first]
    assert (first.manual, first.issued_by, first.reason) == (True, "ada", "rehearsed 12 times")
    assert (first.environment, first.expires_at - first.issued_at) == ("staging", 30 * DAY)
    (told,) = ledger.entries()
    assert told.event == "licence.issued"
    assert told.facts["manual"] is True
    assert told.facts["issued_by"] == "ada"


@pytest.mark.parametrize("later", [NOBODYS, None])
def test_what_is_taken_out_of_the_file_is_revoked_at_the_next_start(
    later: str | None, tmp_path: Path, clock: ManualClock, licences: Licences, ledger: Ledger
) -> None:
    start(tmp_path, ADAS, clock, licences, ledger)
    (gone,) = start(tmp_path, later, clock, licences, ledger)
    assert gone.revoked_because == "it no longer stands in the file of grants"
    assert [entry.event for entry in ledger.entries()] == ["licence.issued", "licence.revoked"]


def test_the_file_does_not_bring_back_what_was_revoked(
    tmp_path: Path, clock: ManualClock, licences: Licences, ledger: Ledger
) -> None:
    (first,) = start(tmp_path, ADAS, clock, licences, ledger)
    revoke(first.id, "it made chat worse", licences, ledger, by="vagus")
    (again,) = start(tmp_path, ADAS, clock, licences, ledger)
    assert again.revoked_because == "it made chat worse"
    renewed = ADAS.replace("12 times", "20 times since")
    start(tmp_path, renewed, clock, licences, ledger)
    assert [licence.reason for licence in licences.valid(clock.now())] == [
        "rehearsed 20 times since"
    ]


def test_the_file_has_no_say_over_other_licences(
    tmp_path: Path, clock: ManualClock, licences: Licences, ledger: Ledger
) -> None:
    earned = Licence("lic-1", "replace", "chat", "staging", issued_at=1.0, expires_at=1e12)
    issue(earned, licences, ledger)
    assert start(tmp_path, NOBODYS, clock, licences, ledger) == [earned]


def test_one_by_hand_is_checked_against_the_stack(tmp_path: Path) -> None:
    here = settings(tmp_path, NOBODYS)
    asked = {"fault": "", "days": 7, "owner": "ada", "reason": "drills", "now": 5.0}
    licence = by_hand(here, action="replace", component="chat", **asked)  # type: ignore[arg-type]
    assert not licence.id.startswith(FROM_FILE)
    assert (licence.manual, licence.expires_at) == (True, 5.0 + 7 * DAY)
    for changes, says in (
        ({"component": "chatt"}, "not in stack"),
        ({"action": "reboot"}, "unknown action 'reboot'"),
        ({"fault": "replica-sleepy"}, "unknown fault"),
        ({"owner": "vagus"}, "nobody who can vouch"),
        ({"days": 0}, "days"),
    ):
        wrong = {"action": "replace", "component": "chat", **asked, **changes}
        with pytest.raises(ConfigError, match=says):
            by_hand(here, **wrong)  # type: ignore[arg-type]


def test_revoking_what_is_not_there_tells_nothing(licences: Licences, ledger: Ledger) -> None:
    with pytest.raises(StateError):
        revoke("lic-9", "why not", licences, ledger, by="ada")
    assert list(ledger.entries()) == []
