"""What holds for the state on either database."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Connection, inspect, select, text

from vagus.clock import ManualClock
from vagus.errors import LeaseLost, StateError
from vagus.model import Subject
from vagus.state import tables
from vagus.state.db import Database, open_database
from vagus.state.leases import Leases
from vagus.state.ledger import Ledger
from vagus.testing.postgres import Server


@pytest.fixture
def empty(url: str, request: pytest.FixtureRequest) -> str:
    """The URL of a database without a table in it."""
    if url.startswith("sqlite"):
        return url  # nothing has opened it yet
    server: Server = request.getfixturevalue("postgres")
    return server.new_database()


def opened(url: str, clock: ManualClock) -> None:
    open_database(url, clock).close()


def test_what_was_written_is_there_after_opening_again(url: str, clock: ManualClock) -> None:
    first = open_database(url, clock)
    Ledger(first).append("w", "1", "said", {"x": 1})
    first.close()
    second = open_database(url, clock)
    try:
        assert [entry.facts for entry in Ledger(second).tail(5)] == [{"x": 1}]
    finally:
        second.close()


def test_a_newer_version_is_refused(empty: str, clock: ManualClock) -> None:
    database = open_database(empty, clock)
    with database.write() as connection:
        connection.execute(text("UPDATE vagus_meta SET value = '99' WHERE key = 'schema'"))
    database.close()
    with pytest.raises(StateError, match="newer version") as caught:
        opened(empty, clock)
    assert "upgrade Vagus" in caught.value.mend


def test_an_older_version_is_brought_forward_once(empty: str, clock: ManualClock) -> None:
    opened(empty, clock)
    ran: list[str] = []

    def first(connection: Connection) -> None:
        ran.append("first")
        connection.execute(text("ALTER TABLE leases ADD COLUMN reason TEXT"))

    def second(connection: Connection) -> None:
        ran.append("second")

    for _ in range(2):
        database = open_database(empty, clock, migrations=(first, second))
        with database.read() as connection:
            connection.execute(text("SELECT reason FROM leases"))
        database.close()
    assert ran == ["first", "second"]
    with pytest.raises(StateError, match=r"schema 3, this one knows 1"):
        opened(empty, clock)


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
            columns = inspect(connection).get_columns("leases")
        assert "reason" not in {column["name"] for column in columns}
    finally:
        database.close()


def test_two_that_open_an_empty_database_at_once_make_one_state(
    empty: str, clock: ManualClock
) -> None:
    barrier, made = threading.Barrier(4), []

    def open_it() -> None:
        barrier.wait()
        made.append(open_database(empty, clock))

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n, database in enumerate(made):
        Ledger(database).append("w", str(n), "said")
        database.close()
    assert len(made) == 4


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
    """Two on one database, as two processes would have: the database's own lock is between them."""
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


def test_a_fence_stands_before_every_write_and_none_but_those(database: Database) -> None:
    ledger = Ledger(database)

    def refuse(connection: Connection) -> None:
        raise LeaseLost("somebody else leads")

    database.fence = refuse
    with pytest.raises(LeaseLost):
        ledger.append("w", "1", "said")
    assert ledger.head().seq == 0
    database.fence = None
    ledger.append("w", "1", "said")
    assert ledger.head().seq == 1


def test_a_brief_transaction_does_not_wait_for_readers_and_joins_nobody(
    database: Database,
) -> None:
    with database.read():
        assert Ledger(database).head().seq == 0
    with database.brief() as connection:
        row = dict.fromkeys(tables.controls.c.keys(), "x") | {"at": 1.0}
        connection.execute(tables.controls.insert().values(row))
    with database.read() as connection:
        assert connection.execute(select(tables.controls.c.name)).scalars().all() == ["x"]


def test_who_still_works_with_a_closed_database_is_told(database: Database) -> None:
    database.close()
    with pytest.raises(StateError, match="is closed"):
        Ledger(database).append("w", "1", "said")
