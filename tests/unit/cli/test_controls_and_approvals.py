"""``vagus proposals|approve|deny|stop|resume|mode`` as typed, against an API on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from vagus.api.server import serve
from vagus.cli import app
from vagus.cli.remote import Refused, read_token
from vagus.clock import SystemClock
from vagus.errors import ConfigError, TargetUnreachable, VagusError
from vagus.model import Ask, ProposalState, Stop
from vagus.state.controls import Controls
from vagus.state.db import Database, open_database
from vagus.testing.office import Office, furnish, settings_for


@dataclass
class Shell:
    """Somebody at a terminal, beside a Vagus that runs or doesn't."""

    folder: Path
    office: Office

    def configure(self, port: int) -> None:
        file = self.folder / "vagus.yaml"
        file.write_text(
            "stack:\n  chat: {kind: model-server}\n"
            f"state: sqlite:///vagus.db\nmode: suggest\napi: {{port: {port}}}\n"
        )

    async def vagus(self, *words: str, who: str | None = None) -> Result:
        env = {"HOME": str(self.folder), "VAGUS_TOKEN": "", "COLUMNS": "120"}
        if who is not None:
            env["VAGUS_TOKEN"] = self.office.secrets[who]
        command = [*words, "-c", str(self.folder / "vagus.yaml")]
        return await asyncio.to_thread(CliRunner().invoke, app, command, env=env)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(open_database(f"sqlite:///{tmp_path / 'vagus.db'}", SystemClock())) as database:
        yield database


@pytest.fixture
def down(tmp_path: Path, database: Database) -> Shell:
    """No Vagus runs."""
    settings = settings_for(tmp_path)
    shell = Shell(tmp_path, furnish(database, SystemClock(), settings))
    shell.configure(1)  # nothing listens there
    return shell


@pytest.fixture
async def up(down: Shell) -> AsyncIterator[Shell]:
    async with serve(down.office.app, down.office.served.settings.api) as port:
        down.configure(port)
        yield down


def said(answer: Result) -> str:
    assert answer.exit_code == 0, (answer.output, answer.exception)
    return answer.stdout


def refused(answer: Result, kind: type[VagusError], *words: str) -> None:
    assert isinstance(answer.exception, kind), (answer.output, answer.exception)
    line = str(answer.exception)
    assert "\n" not in line
    for word in words:
        assert word in line


# --- approvals ------------------------------------------------------------------------------------


async def test_a_sheet_shows_all_that_is_needed(up: Shell) -> None:
    proposal = up.office.proposal()
    listed = said(await up.vagus("proposals", who="viewer"))
    assert proposal.id in listed
    assert "1 person" in listed
    shown = said(await up.vagus("proposals", "inc-1", who="viewer"))
    sheet = proposal.sheet
    for text in (sheet.what, *sheet.why, sheet.blast_radius, sheet.checks, sheet.undo):
        assert text in shown
    assert f"vagus approve {proposal.id}" in shown
    as_json = json.loads(said(await up.vagus("proposals", proposal.id, "--json", who="viewer")))
    assert as_json["sheet"]["record"] == sheet.record


async def test_yes_and_no(up: Shell) -> None:
    first, second = up.office.proposal(rung=1), up.office.proposal(rung=2)
    answer = await up.vagus("approve", first.id, "--reason", "seen it", who="approver")
    assert "approved: restart" in said(answer)
    # Only one of its incident still waits.
    assert "denied" in said(await up.vagus("deny", "inc-1", who="approver"))
    kept = up.office.kept(first.id), up.office.kept(second.id)
    assert [p.state for p in kept] == [ProposalState.APPROVED, ProposalState.DENIED]
    assert kept[0].answers[0].reason == "seen it"
    assert "nothing waits" in said(await up.vagus("proposals", who="viewer"))
    assert second.id in said(await up.vagus("proposals", "--all", who="viewer"))


async def test_one_yes_of_two(up: Shell) -> None:
    proposal = up.office.proposal(asks=(Ask(2),))
    answer = said(await up.vagus("approve", proposal.id, who="approver"))
    assert "still waits for 2 people (1 said yes)" in answer


async def test_what_can_t_be_answered_says_why_in_a_line(up: Shell) -> None:
    proposal = up.office.proposal()
    up.office.proposal(rung=2)
    refused(await up.vagus("approve", proposal.id, who="viewer"), Refused, "approver")
    refused(await up.vagus("approve", "inc-1", who="approver"), VagusError, proposal.id)
    refused(await up.vagus("approve", "inc-9", who="approver"), VagusError, "nothing")
    refused(await up.vagus("approve", "inc-9:1:1:1", who="approver"), Refused, "no such proposal")
    up.office.served.proposals.close(proposal.id, ProposalState.VOID, "the world moved")
    refused(await up.vagus("approve", proposal.id, who="approver"), Refused, "the world moved")


async def test_without_a_token_or_a_vagus(up: Shell, tmp_path: Path) -> None:
    refused(await up.vagus("proposals"), ConfigError, "needs a token", "vagus token create")
    up.configure(1)
    refused(await up.vagus("proposals", who="viewer"), TargetUnreachable, "no running Vagus")


# --- the kill switch ------------------------------------------------------------------------------


async def test_stop_and_resume_through_the_api(up: Shell, tmp_path: Path) -> None:
    controls = up.office.served.controls
    stopped = said(await up.vagus("stop", "--reason", "migration", who="operator"))
    assert "through the API" in stopped
    stop = controls.stop()
    assert stop is not None
    assert (stop.owner, stop.reason) == ("operator", "migration")
    assert not (tmp_path / "vagus.stop").exists()
    refused(await up.vagus("resume", who="operator"), Refused, "admin")
    assert controls.stop() is not None
    assert "lifted" in said(await up.vagus("resume", who="admin"))
    assert controls.stop() is None
    assert "not set" in said(await up.vagus("resume", who="admin"))


@pytest.mark.parametrize("why", ["down", "no token", "unknown token", "lesser role"])
async def test_stop_falls_back_to_the_file_and_says_so(up: Shell, tmp_path: Path, why: str) -> None:
    who: str | None = "operator"
    if why == "down":
        up.configure(1)
    elif why == "no token":
        who = None
    elif why == "unknown token":
        up.office.secrets["operator"] = "vagus_" + "A" * 43
    else:
        who = "viewer"
    stopped = said(await up.vagus("stop", "--reason", "all\nbroken", who=who))
    assert "by the file" in stopped
    file = tmp_path / "vagus.stop"
    assert file.read_text().endswith(": all broken\n")
    again = json.loads(said(await up.vagus("stop", "--reason", "more", "--json", who=who)))
    assert (again["stopped"], again["by"]) == (True, "file")
    assert "all broken" in file.read_text()  # who was first stays to be asked


async def test_stop_needs_a_reason(up: Shell) -> None:
    refused(await up.vagus("stop", "--reason", " ", who="operator"), ConfigError, "say why")
    assert up.office.served.controls.stop() is None


async def test_resume_while_vagus_is_down(down: Shell, database: Database, tmp_path: Path) -> None:
    Controls(database).set_stop(Stop("jo", "migration"))
    (tmp_path / "vagus.stop").write_text("jo: migration\n")
    lifted = json.loads(said(await down.vagus("resume", "--json", who="viewer")))["lifted"]
    assert len(lifted) == 2
    assert Controls(database).stop() is None
    assert not (tmp_path / "vagus.stop").exists()


# --- the mode -------------------------------------------------------------------------------------


async def test_the_mode_is_shown_and_chosen(up: Shell) -> None:
    assert "suggest, as the configuration says" in said(await up.vagus("mode", who="viewer"))
    lowered = await up.vagus("mode", "shadow", "--reason", "noise", who="operator")
    assert "shadow, chosen over the configuration's suggest" in said(lowered)
    raised = ("mode", "auto", "--reason", "trust")
    refused(await up.vagus(*raised, who="operator"), Refused, "admin")
    assert json.loads(said(await up.vagus(*raised, "--json", who="admin")))["mode"] == "auto"
    assert "suggest, as" in said(await up.vagus("mode", "declared", who="operator"))


async def test_a_mode_that_is_none(up: Shell) -> None:
    refused(await up.vagus("mode", "fast", "--reason", "x", who="admin"), ConfigError, "suggest")
    refused(await up.vagus("mode", "auto", who="admin"), ConfigError, "--reason")


# --- where the token comes from -------------------------------------------------------------------


def test_a_token_is_taken_from_where_nobody_else_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAGUS_TOKEN", "")
    with pytest.raises(ConfigError, match="needs a token"):
        read_token(None)
    home = tmp_path / ".config" / "vagus" / "token"
    home.parent.mkdir(parents=True)
    home.write_text("vagus_home\n")
    home.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_token(None)
    home.chmod(0o600)
    assert read_token(None) == "vagus_home"
    monkeypatch.setenv("VAGUS_TOKEN", "vagus_env")
    assert read_token(None) == "vagus_env"
    assert read_token(home) == "vagus_home"
    for text in ("", "two words\n", "Bearer vagus_x"):
        home.write_text(text)
        with pytest.raises(ConfigError, match="holds no token"):
            read_token(home)
    with pytest.raises(ConfigError):
        read_token(tmp_path / "nowhere")
