"""``vagus ledger``, as it is typed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vagus.cli import app
from vagus.cli.ledger_report import followed
from vagus.clock import ManualClock
from vagus.errors import VagusError
from vagus.state.anchor import Anchor
from vagus.state.db import Database, open_database
from vagus.state.ledger import Ledger

LENGTH = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vagus.yaml").write_text("stack: {chat: {kind: model-server}}\n")
    return tmp_path


@pytest.fixture
def database(folder: Path) -> Iterator[Database]:
    with closing(open_database(f"sqlite:///{folder / 'vagus.db'}", ManualClock())) as database:
        yield database


@pytest.fixture
def ledger(database: Database) -> Ledger:
    ledger = Ledger(database)
    for n in range(1, LENGTH + 1):
        facts = {"subject": f"chat/chat-{n}", "note": "ä [bold]"}
        ledger.append("inc-1:1", str(n), "escalated", facts)
    return ledger


def vagus(folder: Path, *words: str | Path) -> Result:
    call = ["ledger", *map(str, words), "-c", str(folder / "vagus.yaml")]
    return CliRunner().invoke(app, call)


def tamper(database: Database, statement: str) -> None:
    with database.write() as connection:
        connection.exec_driver_sql(statement)


# --- verify ---------------------------------------------------------------------------------------


def test_a_ledger_as_it_was_written(folder: Path, ledger: Ledger) -> None:
    result = vagus(folder, "verify")
    assert result.exit_code == 0, result.output
    assert f"30 entries, each as it was written; head {ledger.head()}" in result.output
    assert "not compared with any head that was kept elsewhere" in result.output


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE ledger SET facts = '{}' WHERE seq = 7", "entry 7: it is not what was written"),
        ("DELETE FROM ledger WHERE seq IN (8, 9)", "entry 8: entries 8 to 9 are missing"),
        ("UPDATE ledger SET at = x'00' WHERE seq = 3", "entry 3: it is not what was written"),
    ],
)
def test_tampering_is_found_and_located(
    folder: Path, ledger: Ledger, database: Database, statement: str, said: str
) -> None:
    tamper(database, statement)
    result = vagus(folder, "verify")
    assert result.exit_code == 1
    assert said in result.output
    assert "the ledger does not hold from entry" in result.output


def test_two_entries_that_changed_places(folder: Path, ledger: Ledger, database: Database) -> None:
    for statement in (
        "UPDATE ledger SET seq = 0 WHERE seq = 5",
        "UPDATE ledger SET seq = 5 WHERE seq = 12",
        "UPDATE ledger SET seq = 12 WHERE seq = 0",
    ):
        tamper(database, statement)
    told = json.loads(vagus(folder, "verify", "--json").output)
    assert told["ok"] is False
    assert {found["seq"] for found in told["breaks"]} >= {5, 12}


def test_a_cut_off_end_is_found_by_the_anchor_of_the_configuration(
    folder: Path, ledger: Ledger, database: Database
) -> None:
    Anchor(ledger, folder / "anchor", ManualClock()).write()
    with (folder / "vagus.yaml").open("a") as file:
        file.write("ledger_anchor: anchor\n")
    result = vagus(folder, "verify")
    assert result.exit_code == 0, result.output
    assert f"it agrees with the head in {folder}/anchor" in result.output
    tamper(database, "DELETE FROM ledger WHERE seq > 20")
    result = vagus(folder, "verify")
    assert result.exit_code == 1
    assert "entry 21: the end is cut off: entry 30 was anchored, 20 is the last" in result.output


def test_a_head_may_be_given_in_the_call(folder: Path, ledger: Ledger) -> None:
    head = str(ledger.head())
    assert vagus(folder, "verify", "--anchor", head).exit_code == 0
    other = head[:-1] + ("0" if head[-1] != "0" else "1")
    result = vagus(folder, "verify", "--anchor", other)
    assert result.exit_code == 1
    assert "entry 30: it is not the entry that was anchored" in result.output


def test_an_anchor_that_is_none(folder: Path, ledger: Ledger) -> None:
    result = vagus(folder, "verify", "--anchor", "nowhere")
    assert isinstance(result.exception, VagusError)
    assert "is neither a file nor a head of a ledger" in str(result.exception)


def test_many_breaks_are_counted(folder: Path, ledger: Ledger, database: Database) -> None:
    tamper(database, "UPDATE ledger SET facts = '{}'")
    assert "and 10 more" in vagus(folder, "verify").output


# --- export ---------------------------------------------------------------------------------------


def test_every_entry_is_a_line(folder: Path, ledger: Ledger) -> None:
    lines = vagus(folder, "export").output.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, LENGTH + 1))
    entry = ledger.tail(1)[0]
    assert json.loads(lines[-1]) == {
        "seq": 30,
        "at": entry.at,
        "workflow": "inc-1:1",
        "step": "30",
        "event": "escalated",
        "facts": dict(entry.facts),
        "previous": entry.previous,
        "hash": entry.hash,
    }
    assert len(vagus(folder, "export", "--after", "28").output.splitlines()) == 2


def test_an_export_overwrites_nothing(folder: Path, ledger: Ledger) -> None:
    out = folder / "ledger.jsonl"
    assert vagus(folder, "export", "--out", out).exit_code == 0
    assert len(out.read_text().splitlines()) == LENGTH
    result = vagus(folder, "export", "--out", out)
    assert isinstance(result.exception, VagusError)
    assert "name a file that is not there yet" in str(result.exception)


# --- tail -----------------------------------------------------------------------------------------


def test_the_last_entries_as_sentences(folder: Path, ledger: Ledger) -> None:
    lines = vagus(folder, "tail", "-n", "2").output.splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("a person is needed for chat/chat-30: ä [bold]")
    assert vagus(folder, "tail", "-n", "0").output == ""
    told = [json.loads(line) for line in vagus(folder, "tail", "--json").output.splitlines()]
    assert [entry["seq"] for entry in told] == list(range(11, 31))


def test_following_shows_each_entry_once(ledger: Ledger) -> None:
    paused = itertools.count(1)
    entries = followed(ledger, 2, lambda: ledger.append("w", str(next(paused)), "said"))
    assert [entry.seq for entry in itertools.islice(entries, 5)] == [29, 30, 31, 32, 33]


def test_without_a_state_there_is_nothing_to_verify(folder: Path) -> None:
    result = vagus(folder, "verify")
    assert isinstance(result.exception, VagusError)
    assert "no state yet" in str(result.exception)
