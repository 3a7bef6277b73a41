"""The state in a file: what is opened, what is left as it is, and what is said about it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vagus.clock import ManualClock
from vagus.errors import StateError, StateUnavailable
from vagus.state.db import Database, open_database
from vagus.state.ledger import Ledger

NOBODY = 65534


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'vagus.db'}"


def opened(url: str, clock: ManualClock) -> None:
    open_database(url, clock).close()


def pragma(database: Database, name: str) -> object:
    with database.read() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def test_every_commit_reaches_the_disk(database: Database) -> None:
    assert pragma(database, "journal_mode") == "wal"
    assert pragma(database, "synchronous") == 2  # FULL
    assert pragma(database, "foreign_keys") == 1
    assert pragma(database, "busy_timeout") == 10_000


def test_the_folder_is_made(tmp_path: Path, clock: ManualClock) -> None:
    opened(f"sqlite:///{tmp_path / 'a' / 'b' / 'vagus.db'}", clock)
    assert (tmp_path / "a" / "b" / "vagus.db").is_file()


# --- what can't be opened is left as it is, and says what to do -----------------------------------


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("sqlite://", "memory"),
        ("sqlite:///:memory:", "memory"),
        ("mysql://someone:secret@127.0.0.1/vagus", "mysql"),
        ("vagus.db", "not the URL"),
        ("postgresql:/someone:secret@127.0.0.1", "not the URL"),
    ],
)
def test_urls_that_can_not_hold_state(url: str, what: str, clock: ManualClock) -> None:
    with pytest.raises(StateError, match=what) as caught:
        opened(url, clock)
    assert "sqlite:///" in caught.value.mend
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(url: str, tmp_path: Path, clock: ManualClock) -> None:
    file = tmp_path / "vagus.db"
    file.write_bytes(b"not a database, but somebody's notes\n" * 100)
    before = file.read_bytes()
    with pytest.raises(StateError, match="damaged") as caught:
        opened(url, clock)
    assert caught.value.where == str(file)
    assert f"mv {file}" in caught.value.mend
    assert file.read_bytes() == before


def test_a_damaged_page_is_found_at_open(url: str, tmp_path: Path, clock: ManualClock) -> None:
    database = open_database(url, clock)
    for n in range(300):
        Ledger(database).append("w", str(n), "said", {"padding": "x" * 200})
    database.close()
    file = tmp_path / "vagus.db"
    damaged = bytearray(file.read_bytes())
    middle = len(damaged) // 2 // 4096 * 4096
    damaged[middle : middle + 4096] = b"\xff" * 4096
    file.write_bytes(damaged)
    with pytest.raises(StateError, match="damaged"):
        opened(url, clock)
    assert file.read_bytes() == bytes(damaged)


def test_a_database_of_something_else(url: str, tmp_path: Path, clock: ManualClock) -> None:
    other = sqlite3.connect(tmp_path / "vagus.db")
    other.execute("CREATE TABLE recipes (name TEXT)")
    other.close()
    before = (tmp_path / "vagus.db").read_bytes()
    with pytest.raises(StateError, match=r"something else \(tables: recipes\)"):
        opened(url, clock)
    assert (tmp_path / "vagus.db").read_bytes() == before


@pytest.fixture
def readable_by_all() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def without_rights() -> Iterator[None]:
    """Root may write everywhere, so it steps down for a moment."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(me)


def test_no_permission_to_write_the_file(readable_by_all: Path, clock: ManualClock) -> None:
    file = readable_by_all / "vagus.db"
    opened(f"sqlite:///{file}", clock)
    file.chmod(0o444)
    readable_by_all.chmod(0o555)
    with without_rights(), pytest.raises(StateError, match="permission") as caught:
        opened(f"sqlite:///{file}", clock)
    assert caught.value.where == str(file)


def test_no_permission_to_make_the_folder(readable_by_all: Path, clock: ManualClock) -> None:
    readable_by_all.chmod(0o555)
    with without_rights(), pytest.raises(StateError, match="can't be made"):
        opened(f"sqlite:///{readable_by_all / 'new' / 'vagus.db'}", clock)


def test_a_folder_in_place_of_the_file(url: str, tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "vagus.db").mkdir()
    with pytest.raises(StateError, match="can't be opened"):
        opened(url, clock)


def test_a_file_that_can_no_longer_be_written_says_so_and_goes_on_when_it_can(
    readable_by_all: Path, clock: ManualClock
) -> None:
    """As a disk that was mounted read only would; what was not written is not there."""
    database = open_database(f"sqlite:///{readable_by_all / 'vagus.db'}", clock)
    ledger = Ledger(database)
    try:
        with database.write() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(StateUnavailable, match="can't be written"):
            ledger.append("w", "1", "said")
        with database.read() as connection:
            connection.exec_driver_sql("PRAGMA query_only = OFF")
        ledger.append("w", "1", "said")
        assert ledger.head().seq == 1
    finally:
        database.close()
