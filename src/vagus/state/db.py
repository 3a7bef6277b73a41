"""The state database: opened with care, and written by one at a time.

Two things here are deliberate and easily undone by a well-meant change.

**A write transaction locks the scope from its first statement.** The gate reads what is open,
judges and writes its answer; were two to read before either writes, both would pass. So
:meth:`Database.write` begins by taking the one write lock (:class:`~vagus.state.dialect.Dialect`
says how), and asks its ``fence``, if there is one, whether this process may still write at all.

**One transaction a thread.** Whoever is called inside of ``with database.write()`` and reads or
writes through the same database joins that transaction, without being handed a connection. That is
how the judge, called by :meth:`Intents.decide`, sees open intents as they are under the lock. It
also means that nothing may be awaited inside, and that a thread that holds it must not wait for
another thread that wants it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    inspect,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from vagus.clock import Clock
from vagus.errors import StateError
from vagus.state import tables
from vagus.state.dialect import Dialect
from vagus.state.postgres import Postgres, shown
from vagus.state.sqlite import Sqlite

Migration = Callable[[Connection], None]

MIGRATIONS: tuple[Migration, ...] = ()
"""The n-th brings version n to n + 1. A released one is never changed: what it wrote is out there.
A new database is made from the tables as they are, so both ways must lead to the same schema."""


class Database:
    """An open state database. Threads share it; each has at most one transaction at a time."""

    def __init__(self, dialect: Dialect, clock: Clock) -> None:
        self.place = dialect.place
        self.clock = clock
        self.fence: Callable[[Connection], None] | None = None
        """Called first thing under the write lock; raises if this process must not write."""
        self._dialect = dialect
        self._current = threading.local()
        self._closed = False
        # A database lets a second writer wait by polling, or on a connection of its own; a lock
        # wakes the next thread at once, and costs nothing.
        self._turn = threading.Lock()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the one write lock: all of it is committed, or nothing.

        Inside of another ``write`` of the same thread it joins that one. Raises StateUnavailable
        while the database can't be written.
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
        with self._turn, self._transaction(self._dialect.begin_write, writes=True) as connection:
            if self.fence is not None:
                self.fence(connection)
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the database, or the thread's present one."""
        joined = self._joined()
        if joined is not None:
            yield joined
            return
        with self._transaction(self._dialect.begin_read, writes=False) as connection:
            yield connection

    @contextmanager
    def brief(self) -> Iterator[Connection]:
        """A transaction beside the write lock, for one statement that is atomic by itself and must
        not wait for whoever writes. Never joins another."""
        with self._transaction(self._dialect.begin_brief, writes=False) as connection:
            yield connection

    @property
    def time(self) -> ColumnElement[float]:
        """The time that everybody who uses this database goes by, to be used in a statement."""
        if self._dialect.now is None:
            return literal(self.clock.now(), Float)
        return literal_column(self._dialect.now, Float)

    def now(self) -> float:
        """The time that everybody who uses this database goes by: for what expires."""
        if self._dialect.now is None:
            return self.clock.now()
        with self.read() as connection:
            return float(connection.execute(select(self.time)).scalar_one())

    def close(self) -> None:
        """For good: a thread that still works with it is told so."""
        self._closed = True
        self._dialect.engine.dispose()

    def _joined(self) -> Connection | None:
        return getattr(self._current, "connection", None)

    @contextmanager
    def _transaction(self, begin: Sequence[str], *, writes: bool) -> Iterator[Connection]:
        if self._closed:
            raise StateError("is closed", where=self.place)
        try:
            with self._dialect.engine.connect() as connection:
                for statement in begin:
                    connection.exec_driver_sql(statement)
                self._current.connection = connection
                self._current.writes = writes
                try:
                    yield connection
                    connection.commit()
                finally:
                    self._current.connection = None
        except SQLAlchemyError as error:
            explained = self._dialect.explained(error)
            if explained is None:
                raise  # our own mistake
            raise explained from error


def open_database(
    url: str, clock: Clock, *, migrations: tuple[Migration, ...] = MIGRATIONS
) -> Database:
    """Open the state at ``url`` (``sqlite:///path`` or ``postgresql://...``), making its tables,
    and the file with its folder, if they are missing.

    A database that is damaged, is something else, or was written by a newer version is left as it
    is and raises :class:`~vagus.errors.StateError` with the mend; an older one is brought forward.
    """
    dialect = _dialect(url)
    try:
        _prepare(dialect, clock, migrations)
    except SQLAlchemyError as error:
        dialect.engine.dispose()
        explained = dialect.explained(error)
        if explained is None:
            raise
        raise explained from error
    except StateError:
        dialect.engine.dispose()
        raise
    return Database(dialect, clock)


def is_shared(url: str) -> bool:
    """Whether several processes, on several machines, may work on the state at ``url``."""
    return url.startswith("postgres")


def _dialect(url: str) -> Dialect:
    mend = "write it as sqlite:///path/to/vagus.db or postgresql://user@host/database"
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        where = "state" if "@" in url else url  # what can't be parsed may hold a password
        raise StateError("is not the URL of a database", where=where, mend=mend) from error
    match parsed.get_backend_name():
        case "sqlite":
            return Sqlite(parsed)
        case "postgresql" | "postgres":
            return Postgres(parsed)
        case other:
            raise StateError(f"the state can't be kept in {other}", where=shown(parsed), mend=mend)


def _prepare(dialect: Dialect, clock: Clock, migrations: tuple[Migration, ...]) -> None:
    """Look before anything is changed; then make the tables, or bring them forward."""
    ours = 1 + len(migrations)
    with dialect.engine.connect() as connection:
        dialect.look(connection)
        version = _check_version(connection, dialect, ours)
    if version == ours and not dialect.readers_write:
        return
    with dialect.engine.connect() as connection:
        for statement in (*dialect.set_up, *dialect.begin_write):
            connection.exec_driver_sql(statement)
        version = _check_version(connection, dialect, ours)  # another may have been first
        if version is None:
            tables.metadata.create_all(connection)
            rows = {"schema": str(ours), "created_at": str(clock.now())}
            connection.execute(
                tables.meta.insert(), [{"key": key, "value": value} for key, value in rows.items()]
            )
        else:
            for step in migrations[version - 1 :]:
                step(connection)
            connection.execute(
                update(tables.meta).where(tables.meta.c.key == "schema").values(value=str(ours))
            )
        connection.commit()


def _check_version(connection: Connection, dialect: Dialect, ours: int) -> int | None:
    """The version of the schema, or None in an empty database."""
    present = inspect(connection).get_table_names()
    if not present:
        return None
    if tables.meta.name not in present:
        raise StateError(
            f"is a database of something else (tables: {', '.join(sorted(present)[:3])})",
            where=dialect.place,
            mend=dialect.elsewhere,
        )
    found = connection.execute(
        select(tables.meta.c.value).where(tables.meta.c.key == "schema")
    ).scalar_one_or_none()
    if found is None or not found.isdigit():
        raise dialect.damaged("its schema has no version")
    if int(found) > ours:
        raise StateError(
            f"was written by a newer version of Vagus (schema {found}, this one knows {ours})",
            where=dialect.place,
            mend=f"upgrade Vagus, or {dialect.elsewhere}",
        )
    return int(found)
