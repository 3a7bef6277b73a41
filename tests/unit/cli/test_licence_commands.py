"""``vagus licence``, on the state while nobody runs, through the API of whoever does."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import uvicorn
from typer.testing import CliRunner

from vagus import config
from vagus.cli import app
from vagus.cli.remote import Refused
from vagus.cli.token_commands import whoami
from vagus.clock import ManualClock, SystemClock
from vagus.errors import ConfigError, VagusError
from vagus.model import Licence, Outcome, Subject, Trial
from vagus.state.db import open_database
from vagus.state.ledger import Ledger
from vagus.state.licences import Licences
from vagus.state.trials import Trials
from vagus.testing.office import Office, furnish
from vagus.testing.receivers import Inbox, webhook

DAY = 86_400.0
CONFIG = """\
stack: {{chat: {{kind: model-server}}}}
state: sqlite:///vagus.db
api: {{port: {port}, rate: 100000 per second}}
"""


@pytest.fixture
def port() -> int:
    """One that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        found: int = free.getsockname()[1]
        return found


@pytest.fixture
def file(tmp_path: Path, port: int) -> Path:
    file = tmp_path / "vagus.yaml"
    file.write_text(CONFIG.format(port=port))
    return file


@pytest.fixture(autouse=True)
def _no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAGUS_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def run(file: Path, *words: str) -> str:
    result = CliRunner().invoke(app, ["licence", *words, "-c", str(file)], catch_exceptions=True)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def grant(file: Path, *more: str) -> dict[str, object]:
    said = run(file, "grant", "replace", "chat", "--reason", "rehearsed", "--json", *more)
    found: dict[str, object] = json.loads(said.splitlines()[-1])
    return found


def told(folder: Path, event: str) -> list[dict[str, object]]:
    with closing(open_database(f"sqlite:///{folder / 'vagus.db'}", SystemClock())) as database:
        return [dict(e.facts) for e in Ledger(database).entries() if e.event == event]


# --- while nobody runs ----------------------------------------------------------------------------


def test_a_grant_is_recorded_with_owner_reason_and_who_sat_at_the_shell(
    file: Path, tmp_path: Path
) -> None:
    licence = grant(file, "--owner", "ada", "--fault", "replica-hung", "--days", "7")
    assert (licence["issued_by"], licence["manual"], licence["valid"]) == ("ada", True, True)
    (entry,) = told(tmp_path, "licence.issued")
    assert entry["by"] == whoami()
    assert (entry["issued_by"], entry["reason"]) == ("ada", "rehearsed")
    listed = run(file, "list")
    assert "ada (manual)" in listed
    assert "replica-hung" in listed


def test_without_an_owner_it_is_whoever_sits_at_the_shell(file: Path) -> None:
    assert grant(file)["issued_by"] == whoami()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("reboot", "chat"), "unknown action 'reboot'"),
        (("replace", "chatt"), "not in stack"),
        (("replace", "chat", "--fault", "sleepy"), "unknown fault 'sleepy'"),
        (("replace", "chat", "--owner", "vagus"), "nobody who can vouch"),
    ],
)
def test_a_slip_of_the_pen_grants_nothing(
    words: tuple[str, ...], says: str, file: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=says):
        run(file, "grant", *words, "--reason", "r")
    assert not (tmp_path / "vagus.db").exists()


def test_a_revoked_one_says_why_and_is_listed_with_all(file: Path, tmp_path: Path) -> None:
    name = str(grant(file)["id"])
    assert "too early" in run(file, "revoke", name, "--reason", "too early")
    assert "no licences" in run(file, "list")
    assert "too early" in run(file, "show", name)
    everything = json.loads(run(file, "list", "--all", "--json"))["licences"]
    assert [(one["id"], one["valid"]) for one in everything] == [(name, False)]
    (entry,) = told(tmp_path, "licence.revoked")
    assert (entry["by"], entry["because"]) == (whoami(), "too early")


def test_what_is_not_there_can_not_be_shown_or_revoked(file: Path) -> None:
    grant(file)
    for words in (("show", "lic-9"), ("revoke", "lic-9", "--reason", "r")):
        with pytest.raises(VagusError, match="no such licence"):
            run(file, *words)


def test_an_earned_one_shows_its_proof_and_the_record_by_now(file: Path, tmp_path: Path) -> None:
    clock = SystemClock()
    with closing(open_database(f"sqlite:///{tmp_path / 'vagus.db'}", clock)) as database:
        now = clock.now()
        trials = Trials(database)
        for n in range(20):
            outcome = Outcome.HEALED if n else Outcome.UNCHANGED
            chat = Subject("chat", "chat-1")
            trials.record(Trial(str(n), now, "replace", "slow", chat, "default", outcome, 9.0))
        Licences(database).issue(
            Licence(
                "lic-1",
                "replace",
                "chat",
                "default",
                issued_at=now,
                expires_at=now + DAY,
                samples=14,
                bound=0.807,
                experiments=("exp-1",),
            )
        )
    said = run(file, "show", "lic-1")
    for needed in ("earned", "at least 81%, by 14 trials", "exp-1", "healed 19 of 20 times"):
        assert needed in said
    shown = json.loads(run(file, "show", "lic-1", "--json"))
    assert (shown["record"]["samples"], shown["manual"]) == (20, False)


# --- while one runs -------------------------------------------------------------------------------


@pytest.fixture
def office(file: Path, tmp_path: Path, port: int) -> Iterator[Office]:
    """The API on a socket, as a running Vagus serves it."""
    clock = ManualClock(SystemClock().now())
    with closing(open_database(f"sqlite:///{tmp_path / 'vagus.db'}", clock)) as database:
        office = furnish(database, clock, config.load(file))
        server = uvicorn.Server(uvicorn.Config(office.app, port=port, log_config=None))
        thread = threading.Thread(target=server.run)
        thread.start()
        deadline = time.monotonic() + 60.0
        while not server.started:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield office
        server.should_exit = True
        thread.join()


def granted_by_api(file: Path, *more: str) -> str:
    """The office knows restarts of chat."""
    return run(file, "grant", "restart", "chat", "--reason", "rehearsed", "--json", *more)


def test_with_an_admins_token_it_goes_through_the_api(
    office: Office, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "token"
    secret.write_text(office.secrets["admin"] + "\n")
    secret.chmod(0o600)
    licence = json.loads(granted_by_api(file, "--token-file", str(secret)))
    assert licence["issued_by"] == "admin"
    assert [one.id for one in office.served.licences.all()] == [licence["id"]]
    assert office.told()  # the API's audit
    monkeypatch.setenv("VAGUS_TOKEN", office.secrets["admin"])
    run(file, "revoke", licence["id"], "--reason", "too early")
    assert office.served.licences.all()[0].revoked_because == "too early"


def test_without_a_token_nothing_is_done_behind_the_back_of_who_runs(
    office: Office, file: Path
) -> None:
    with pytest.raises(ConfigError, match="needs a token"):
        granted_by_api(file)
    assert office.served.licences.all() == []


def test_a_token_of_a_lesser_role_is_refused(
    office: Office, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGUS_TOKEN", office.secrets["approver"])
    with pytest.raises(Refused) as caught:
        granted_by_api(file)
    assert caught.value.status == 403
    assert office.secrets["approver"] not in str(caught.value)
    assert office.served.licences.all() == []


def test_the_apis_own_words_reach_the_terminal(
    office: Office, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGUS_TOKEN", office.secrets["admin"])
    with pytest.raises(VagusError, match="no such licence"):
        run(file, "revoke", "lic-9", "--reason", "r")
    with pytest.raises(VagusError, match="no such component"):
        run(file, "grant", "restart", "chatt", "--reason", "r")


def test_somebody_else_on_the_port_is_not_taken_for_vagus(
    file: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGUS_TOKEN", "secret")
    inbox = Inbox()
    inbox.refuse = True
    with webhook(inbox, port), pytest.raises(VagusError, match="not as Vagus does"):
        granted_by_api(file)
