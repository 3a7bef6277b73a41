"""The state database: opened with care, and written by one at a time.

Two things here are deliberate and easily undone by a well-meant change.

**A write transaction locks the scope from its first statement.** The gate reads what is open,
judges and writes its answer; were two to read before either writes, both would pass. So
:meth:`Database.write` begins with ``BEGIN IMMEDIATE``. Python's sqlite3 would otherwise begin a
deferred transaction by itself, at the first INSERT and not before, and SQLAlchemy's BEGIN would be
a no-op: the driver is therefore put into autocommit (``isolation_level = None``, which means the
same in every Python from 3.6 on) and the statements are ours.

**One transaction a thread.** Whoever is called inside of ``with database.write()`` and reads or
writes through the same database joins that transaction, without being handed a connection. That is
how the judge, called by :meth:`Intents.decide`, sees open intents as they are under the lock. It
also means that nothing may be awaited inside, and that a thread that holds it must not wait for
another thread that wants it.

``synchronous=FULL`` is kept although WAL would allow less: an intent that was committed must
survive a power cut, because its action will have happened.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, ProgrammingError
from sqlalchemy.pool import QueuePool

from vagus.clock import Clock
from vagus.errors import StateError
from vagus.state import tables

BUSY_TIMEOUT_S = 10.0  # waiting for another process that writes; ours take milliseconds
IDLE_CONNECTIONS = 8  # kept open; more are made when more threads come, and closed after use

Migration = Callable[[Connection], None]

MIGRATIONS: tuple[Migration, ...] = ()
"""The n-th brings version n to n + 1. A released one is never changed: what it wrote is out there.
A new database is made from the tables as they are, so both ways must lead to the same schema."""


class Database:
    """An open state database. Threads share it; each has at most one transaction at a time."""

    def __init__(self, engine: Engine, path: Path, clock: Clock) -> None:
        self.path = path
        self.clock = clock
        self._engine = engine
        self._current = threading.local()
        # SQLite lets a second writer wait by polling with growing pauses; a lock wakes it at once.
        self._turn = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the one write lock: all of it is committed, or nothing.

        Inside of another ``write`` of the same thread it joins that one. Raises StateError if the
        database can't be written.
        """
        joined = self._joined()
        if joined is not None:
            if not self._current.writes:
                raise RuntimeError(
                    "a read transaction can't become a write transaction: it may "
                    "have read what another has changed since"
                )
            yield joined
            return
        with self._turn, self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database, or the thread's present one."""
        joined = self._joined()
        if joined is not None:
            yield joined
            return
        with self._transaction("BEGIN") as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _joined(self) -> Connection | None:
        return getattr(self._current, "connection", None)

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql(begin)
                self._current.connection = connection
                self._current.writes = begin != "BEGIN"
                try:
                    yield connection
                    connection.commit()
                finally:
                    self._current.connection = None
        except (IntegrityError, ProgrammingError):
            raise  # our own mistakes
        except DatabaseError as error:
            raise _explained(error, self.path) from error


def open_database(
    url: str, clock: Clock, *, migrations: tuple[Migration, ...] = MIGRATIONS
) -> Database:
    """Open the state at ``url`` (``sqlite:///path``), making it, and its folder, if it is missing.

    A file that is damaged, is something else, or was written by a newer version is left as it is
    and raises :class:`~vagus.errors.StateError` with the mend; an older one is brought forward.
    """
    path = _path_of(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"the folder can't be made: {error.strerror}",
            where=str(path.parent),
            mend="name another place as 'state:'",
        ) from error
    engine = _engine(path)
    try:
        _prepare(engine, path, clock, migrations)
    except DatabaseError as error:
        engine.dispose()
        raise _explained(error, path) from error
    except StateError:
        engine.dispose()
        raise
    return Database(engine, path, clock)


def _path_of(url: str) -> Path:
    mend = "write it as sqlite:///path/to/vagus.db"
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StateError("is not the URL of a database", where=url, mend=mend) from error
    if parsed.get_backend_name() != "sqlite":
        name = parsed.get_backend_name()
        where = parsed.render_as_string(hide_password=True)
        raise StateError(f"the state can't be kept in {name} yet", where=where, mend=mend)
    if not parsed.database or parsed.database == ":memory:":
        raise StateError("state in memory would not outlive a crash", where=url, mend=mend)
    return Path(parsed.database)


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=IDLE_CONNECTIONS,
        max_overflow=-1,
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")

    return engine


def _prepare(engine: Engine, path: Path, clock: Clock, migrations: tuple[Migration, ...]) -> None:
    """Look before anything is changed; then make the tables, or bring them forward."""
    with engine.connect() as connection:
        _check_health(connection, path)
        _check_version(connection, path, 1 + len(migrations))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        version = _check_version(
            connection, path, 1 + len(migrations)
        )  # another may have been first
        if version is None:
            tables.metadata.create_all(connection)
            rows = {"schema": str(1 + len(migrations)), "created_at": str(clock.now())}
            connection.execute(
                tables.meta.insert(), [{"key": key, "value": value} for key, value in rows.items()]
            )
        else:
            for step in migrations[version - 1 :]:
                step(connection)
            connection.execute(
                update(tables.meta)
                .where(tables.meta.c.key == "schema")
                .values(value=str(1 + len(migrations)))
            )
        connection.commit()


def _check_health(connection: Connection, path: Path) -> None:
    answers = [row[0] for row in connection.exec_driver_sql("PRAGMA quick_check(3)")]
    if answers != ["ok"]:
        raise _damaged(path, "; ".join(str(answer) for answer in answers))


def _check_version(connection: Connection, path: Path, ours: int) -> int | None:
    """The version of the schema, or None in an empty file."""
    present = inspect(connection).get_table_names()
    if not present:
        return None
    if tables.meta.name not in present:
        raise StateError(
            f"is a database of something else (tables: {', '.join(sorted(present)[:3])})",
            where=str(path),
            mend="name another file as 'state:'",
        )
    found = connection.execute(
        select(tables.meta.c.value).where(tables.meta.c.key == "schema")
    ).scalar_one_or_none()
    if found is None or not found.isdigit():
        raise _damaged(path, "its schema has no version")
    if int(found) > ours:
        raise StateError(
            f"was written by a newer version of Vagus (schema {found}, this one knows {ours})",
            where=str(path),
            mend="upgrade Vagus, or name another file as 'state:'",
        )
    return int(found)


def _damaged(path: Path, what: str) -> StateError:
    return StateError(
        f"is damaged and was left as it is: {what}",
        where=str(path),
        mend=f"restore a backup, or move it away to start afresh: mv {path} {path}.damaged",
    )


def _explained(error: DatabaseError, path: Path) -> StateError:
    """SQLite's complaint, with the file and the mend."""
    cause = error.orig
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return _damaged(path, str(cause))
    known = {
        sqlite3.SQLITE_READONLY: ("can't be written", "give this user write permission"),
        sqlite3.SQLITE_CANTOPEN: ("can't be opened", "look at its folder's permissions"),
        sqlite3.SQLITE_PERM: ("can't be opened", "look at its permissions"),
        sqlite3.SQLITE_FULL: ("the disk is full", "make room; Vagus goes on by itself"),
        sqlite3.SQLITE_BUSY: ("another process holds it", "look for a second 'vagus run'"),
    }
    what, mend = known.get(code, ("failed", "look at the disk and at the system's log"))
    return StateError(f"{what}: {cause}", where=str(path), mend=mend)
