from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from vagus.clock import ManualClock
from vagus.errors import StateError
from vagus.model import Subject
from vagus.state.db import Database, open_database
from vagus.state.leases import Leases
from vagus.state.ledger import Ledger

NOBODY = 65534


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


def test_what_was_written_is_there_after_opening_again(url: str, clock: ManualClock) -> None:
    first = open_database(url, clock)
    Ledger(first).append("w", "1", "said", {"x": 1})
    first.close()
    second = open_database(url, clock)
    try:
        assert [entry.facts for entry in Ledger(second).tail(5)] == [{"x": 1}]
    finally:
        second.close()


# --- what can't be opened is left as it is, and says what to do -----------------------------------


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("sqlite://", "memory"),
        ("sqlite:///:memory:", "memory"),
        ("postgresql://someone:secret@127.0.0.1/vagus", "postgresql"),
        ("vagus.db", "not the URL"),
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


def test_a_newer_version_is_refused(url: str, tmp_path: Path, clock: ManualClock) -> None:
    opened(url, clock)
    raw = sqlite3.connect(tmp_path / "vagus.db")
    raw.execute("UPDATE vagus_meta SET value = '99' WHERE key = 'schema'")
    raw.commit()
    raw.close()
    with pytest.raises(StateError, match="newer version") as caught:
        opened(url, clock)
    assert "upgrade Vagus" in caught.value.mend


def test_an_older_version_is_brought_forward_once(url: str, clock: ManualClock) -> None:
    opened(url, clock)
    ran: list[str] = []

    def first(connection: Connection) -> None:
        ran.append("first")
        connection.execute(text("ALTER TABLE leases ADD COLUMN reason TEXT"))

    def second(connection: Connection) -> None:
        ran.append("second")

    for _ in range(2):
        database = open_database(url, clock, migrations=(first, second))
        with database.read() as connection:
            connection.execute(text("SELECT reason FROM leases"))
        database.close()
    assert ran == ["first", "second"]
    with pytest.raises(StateError, match=r"schema 3, this one knows 1"):
        opened(url, clock)


def test_a_migration_that_breaks_changes_nothing(url: str, clock: ManualClock) -> None:
    opened(url, clock)

    def half(connection: Connection) -> None:
        connection.execute(text("ALTER TABLE leases ADD COLUMN reason TEXT"))
        raise StateError("can't go on")

    with pytest.raises(StateError, match="can't go on"):
        open_database(url, clock, migrations=(half,))
    database = open_database(url, clock)
    try:
        with database.read() as connection:
            columns = connection.execute(text("SELECT name FROM pragma_table_info('leases')"))
            assert "reason" not in columns.scalars().all()
    finally:
        database.close()


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


# --- transactions ---------------------------------------------------------------------------------


def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    ledger = Ledger(database)

    def half() -> None:
        with database.write():
            ledger.append("w", "1", "said")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert ledger.tail(1) == []
    ledger.append("w", "1", "said")  # and the thread can go on
    assert ledger.head().seq == 1


def test_calls_inside_of_a_transaction_join_it(database: Database) -> None:
    ledger = Ledger(database)
    with database.write():
        ledger.append("w", "1", "said")
        assert ledger.head().seq == 1  # its own, uncommitted
        seen: list[int] = []
        other = threading.Thread(target=lambda: seen.append(ledger.head().seq))
        other.start()
        other.join()
        assert seen == [0]
    assert ledger.head().seq == 1


def test_a_read_transaction_sees_one_moment_and_never_writes(database: Database) -> None:
    ledger = Ledger(database)
    with database.read():
        assert ledger.head().seq == 0
        other = threading.Thread(target=ledger.append, args=("w", "1", "said"))
        other.start()
        other.join()
        assert ledger.head().seq == 0
        with pytest.raises(RuntimeError, match="can't become a write"):
            ledger.append("w", "2", "said")
    assert ledger.head().seq == 1


def test_a_second_writer_waits_and_sees_what_the_first_wrote(url: str, clock: ManualClock) -> None:
    """Two databases on one file, as two processes would have: SQLite's own lock is between them."""
    here, there = open_database(url, clock), open_database(url, clock)
    target, results = Subject("chat", "chat-1"), []
    try:
        with here.write():
            assert Leases(here).acquire(target, "here", 10.0) == 1
            other = threading.Thread(
                target=lambda: results.append(Leases(there).acquire(target, "there", 10.0))
            )
            other.start()
            other.join(0.05)
            assert results == []
        other.join()
        assert results == [None]
    finally:
        here.close()
        there.close()


def test_many_threads_write_through_one_database(database: Database) -> None:
    ledger = Ledger(database)

    def say(who: int) -> None:
        for n in range(10):
            ledger.append(f"w{who}", str(n), "said")

    threads = [threading.Thread(target=say, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.head().seq == 80
    assert ledger.verify() == []
