"""The state in one file, and back."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from vagus import backup
from vagus.backup import MANIFEST, STATE, WORKFLOWS, back_up, restore
from vagus.cli import app
from vagus.clock import ManualClock
from vagus.durable import beside, claim
from vagus.errors import StateError
from vagus.model import (
    Ask,
    Cause,
    Check,
    Decision,
    IntentState,
    Proposal,
    ProposalState,
    Request,
    Ruling,
    Sheet,
)
from vagus.state import tables
from vagus.state.db import Database, open_database
from vagus.state.incidents import Incidents
from vagus.state.intents import Intents
from vagus.state.ledger import Head, Ledger
from vagus.state.proposals import Proposals
from vagus.testing.cases import CHAT, a_finding, a_request

SHEET = Sheet("", (), "", 0.9, "", "", "", "", "")


class State:
    """A state in a file, with something in it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(1_000_000.0)
        self.path = folder / "vagus.db"
        self.url = f"sqlite:///{self.path}"
        self.backup = folder / "backup.tar"

    def opened(self) -> Database:
        return open_database(self.url, self.clock)

    def written(self, database: Database, rung: int = 0) -> str:
        """An intent that was let pass and not begun."""
        request = a_request(rung=rung)
        check = Check(request.remedy.target, 3, 5.0, 60.0)
        ruling = Ruling(Decision.ALLOW, ())
        return Intents(database).decide(request, check, lambda: ruling, shadow=False).token

    def workflows(self, note: str) -> None:
        with closing(sqlite3.connect(beside(self.path))) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS steps (note TEXT)")
            connection.execute("INSERT INTO steps VALUES (?)", (note,))
            connection.commit()

    def steps(self) -> list[str]:
        with closing(sqlite3.connect(beside(self.path))) as connection:
            return [row[0] for row in connection.execute("SELECT note FROM steps")]

    def back_up(self) -> backup.Manifest:
        return back_up(self.url, self.backup, self.clock)

    def restore(self) -> backup.Restored:
        self.clock.advance(3600.0)
        return restore(self.url, self.backup, self.clock)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    state = State(tmp_path)
    with closing(state.opened()) as database:
        Incidents(database).open(CHAT[0], Cause("replica-hung", CHAT[0], 0.9), [a_finding()])
        Ledger(database).append("w", "1", "said", {"n": 1})
    state.workflows("before")
    yield state
    leftovers = [p.name for p in tmp_path.iterdir() if p.name.startswith(".vagus-")]
    assert leftovers == []


def test_there_and_back(state: State) -> None:
    manifest = state.back_up()
    with closing(state.opened()) as database:
        Ledger(database).append("w", "2", "said later")
    state.workflows("later")
    done = state.restore()
    assert done.manifest == manifest
    assert state.steps() == ["before"]
    with closing(state.opened()) as database:
        ledger = Ledger(database)
        said, restored = ledger.tail(10)
        assert (said.event, restored.event) == ("said", "restored")
        assert restored.facts["head"] == manifest.head == str(Head(said.seq, said.hash))
        assert restored.at == state.clock.now()
        assert ledger.verify(Head.parse(manifest.head)) == []
        assert [i.subject for i in Incidents(database).active()] == [CHAT[0]]


def test_what_was_there_is_moved_aside_with_its_log(state: State) -> None:
    state.back_up()
    with closing(state.opened()) as database:
        Ledger(database).append("w", "2", "said later")
        log = state.path.with_name("vagus.db-wal").read_bytes()
    state.path.with_name("vagus.db-wal").write_bytes(log)  # as after a crash
    done = state.restore()
    log_away, away = (p for p in done.replaced if p.name.startswith("vagus.db."))
    assert log_away.name == away.name + "-wal"
    assert not state.path.with_name("vagus.db-wal").exists()
    with closing(open_database(f"sqlite:///{away}", state.clock)) as database:
        assert [entry.event for entry in Ledger(database).tail(10)] == ["said", "said later"]


def test_a_backup_is_of_one_moment_while_others_write(state: State) -> None:
    stop = threading.Event()

    def write() -> None:
        with closing(state.opened()) as database:
            ledger = Ledger(database)
            for n in range(10_000):
                ledger.append("w", f"busy-{n}", "said")
                if stop.is_set():
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        manifest = state.back_up()
    finally:
        stop.set()
        writer.join()
    state.restore()
    with closing(state.opened()) as database:
        assert Ledger(database).verify(Head.parse(manifest.head)) == []


def test_workflows_are_copied_first(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a workflow remembers as done must be known to our tables."""
    order = []
    copied = backup._copied

    def watched(source: Path, target: Path) -> Path:
        order.append(target.name)
        return copied(source, target)

    monkeypatch.setattr(backup, "_copied", watched)
    state.back_up()
    assert order == [WORKFLOWS, STATE]


def test_without_workflows_ours_alone_is_copied(state: State) -> None:
    beside(state.path).unlink()
    assert set(state.back_up().sha256) == {STATE}
    state.workflows("later")
    state.restore()
    assert not beside(state.path).exists()


def test_it_is_for_its_owner_alone(state: State) -> None:
    state.back_up()
    assert state.backup.stat().st_mode & 0o777 == 0o600


# --- the world went on ----------------------------------------------------------------------------


def test_an_intent_that_was_not_begun_is_never_begun_again(state: State) -> None:
    with closing(state.opened()) as database:
        token = state.written(database)
    state.back_up()
    with closing(state.opened()) as database:
        assert Intents(database).begin(token)
        Intents(database).finish(token, IntentState.APPLIED)
    state.restore()
    with closing(state.opened()) as database:
        intents = Intents(database)
        assert not intents.begin(token)
        intent = intents.get(token)
        assert intent is not None
        assert intent.state is IntentState.ACTING
        assert intent.acted_at == intent.created_at
        assert intent.note == "the state was restored from a backup"
        assert Ledger(database).tail(1)[0].facts["intents"] == 1


def a_proposal(request: Request, expires_at: float) -> Proposal:
    return Proposal(request, (Ask(1),), "binding", SHEET, 1_000_000.0, expires_at)


def test_proposals_that_could_still_be_answered_or_used_are_void(state: State) -> None:
    waiting, used, old = (a_request(rung=n) for n in (1, 2, 3))
    with closing(state.opened()) as database:
        proposals = Proposals(database)
        for request, expires_at in ((waiting, 1e7), (used, 1e7), (old, 1.0)):
            proposals.open(a_proposal(request, expires_at))
        with database.write() as connection:
            table = tables.proposals
            connection.execute(
                table.update()
                .where(table.c.id.in_([used.token, old.token]))
                .values(state=ProposalState.APPROVED.value)
            )
    state.back_up()
    state.restore()
    with closing(state.opened()) as database, database.read() as connection:
        rows = connection.execute(select(tables.proposals.c.id, tables.proposals.c.state))
        states = {row.id: row.state for row in rows}
    assert states == {waiting.token: "void", used.token: "void", old.token: "approved"}


# --- what is refused ------------------------------------------------------------------------------


def test_not_while_it_runs(state: State) -> None:
    state.back_up()
    before = state.path.read_bytes()
    with closing(claim(state.url)), pytest.raises(StateError, match="another vagus run"):
        state.restore()
    assert state.path.read_bytes() == before


def rewritten(state: State, change: Mapping[str, bytes | None]) -> None:
    """The backup with other members; None leaves one out."""
    with tarfile.open(state.backup) as archive:
        found = {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]
    with tarfile.open(state.backup, "w") as archive:
        for name, data in (found | dict(change)).items():
            if data is not None:
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))


def manifest_with(state: State, **changes: object) -> bytes:
    with tarfile.open(state.backup) as archive:
        member = archive.extractfile(MANIFEST)
        assert member is not None
        return json.dumps({**json.loads(member.read()), **changes}).encode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({STATE: b"SQLite format 3 and more"}, "state.db is not what was written"),
        ({WORKFLOWS: b""}, "workflows.db is not what was written"),
        ({STATE: None}, "there is no state.db in it"),
        ({MANIFEST: None}, "there is no manifest.json in it"),
        ({MANIFEST: b"{"}, "its manifest can't be read"),
        ({MANIFEST: b'{"format": 1}'}, "its manifest can't be read"),
        ({MANIFEST: b'{"format": "x"}'}, "its manifest can't be read"),
    ],
)
def test_a_backup_that_is_damaged_changes_nothing(
    state: State, change: Mapping[str, bytes | None], said: str
) -> None:
    state.back_up()
    before = state.path.read_bytes()
    rewritten(state, change)
    with pytest.raises(StateError, match=said):
        state.restore()
    assert state.path.read_bytes() == before


@pytest.mark.parametrize("what", ["format", "schema_version"])
def test_a_backup_from_a_newer_version(state: State, what: str) -> None:
    state.back_up()
    rewritten(state, {MANIFEST: manifest_with(state, **{what: 99})})
    with pytest.raises(StateError, match=r"newer version of Vagus \(upgrade Vagus\)"):
        state.restore()


def test_a_file_that_is_no_archive(state: State) -> None:
    state.backup.write_bytes(b"x" * 2000)
    with pytest.raises(StateError, match="is not a backup that can be trusted"):
        state.restore()


def test_a_file_that_is_not_there(state: State) -> None:
    with pytest.raises(StateError, match="can't be copied"):
        state.restore()


def test_a_backup_overwrites_nothing(state: State) -> None:
    state.back_up()
    with pytest.raises(StateError, match="is there already"):
        state.back_up()


def test_no_state_no_backup(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no state yet"):
        back_up(f"sqlite:///{tmp_path}/none.db", tmp_path / "b", ManualClock())
    assert list(tmp_path.iterdir()) == []


def test_a_state_on_a_server_has_its_own_tools(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="pg_dump"):
        back_up("postgresql://localhost/vagus", tmp_path / "b", ManualClock())


# --- as it is typed -------------------------------------------------------------------------------


def test_the_commands(state: State, tmp_path: Path) -> None:
    config = tmp_path / "vagus.yaml"
    config.write_text("stack: {chat: {kind: model-server}}\n")
    copy = tmp_path / "copy.tar"
    made = CliRunner().invoke(app, ["backup", str(copy), "-c", str(config), "--json"])
    assert made.exit_code == 0, made.output
    head = json.loads(made.output)["manifest"]["head"]
    put_back = CliRunner().invoke(app, ["restore", str(copy), "-c", str(config)])
    assert put_back.exit_code == 0, put_back.output
    assert f"restored up to entry {head} of the ledger" in put_back.output
    assert "what was there before:" in put_back.output
    assert "vagus run --mode shadow" in put_back.output
