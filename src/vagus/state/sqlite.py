"""The state in a file: SQLite, with a write-ahead log.

Python's sqlite3 would begin a deferred transaction by itself, at the first INSERT and not before,
and SQLAlchemy's BEGIN would be a no-op: the driver is therefore put into autocommit
(``isolation_level = None``, which means the same in every Python from 3.6 on) and the statements
are ours.

``synchronous=FULL`` is kept although the write-ahead log would allow less: an intent that was
committed must survive a power cut, because its action will have happened.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from vagus.errors import StateError, StateUnavailable

BUSY_TIMEOUT_S = 10.0  # waiting for another process that writes; ours take milliseconds
IDLE_CONNECTIONS = 8  # kept open; more are made when more threads come, and closed after use

_PASSING = {
    sqlite3.SQLITE_READONLY: ("can't be written", "give this user write permission"),
    sqlite3.SQLITE_CANTOPEN: ("can't be opened", "look at its folder's permissions"),
    sqlite3.SQLITE_PERM: ("can't be opened", "look at its permissions"),
    sqlite3.SQLITE_FULL: ("the disk is full", "make room; Vagus goes on by itself"),
    sqlite3.SQLITE_BUSY: ("another process holds it", "look for a second 'vagus run'"),
    sqlite3.SQLITE_IOERR: ("failed", "look at the disk and at the system's log"),
}
"""Complaints that end without the database being touched."""


class Sqlite:
    begin_write = ("BEGIN IMMEDIATE",)
    begin_read = ("BEGIN",)
    begin_brief = begin_write
    set_up = ("PRAGMA journal_mode = WAL",)
    readers_write = True  # the index of the log
    now = None
    elsewhere = "name another file as 'state:'"

    def __init__(self, url: URL) -> None:
        """Raises StateError for what would not outlive a crash, or a folder that can't be made."""
        if not url.database or url.database == ":memory:":
            raise StateError(
                "state in memory would not outlive a crash",
                where=str(url),
                mend="write it as sqlite:///path/to/vagus.db",
            )
        self.path = Path(url.database)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(
                f"the folder can't be made: {error.strerror}",
                where=str(self.path.parent),
                mend="name another place as 'state:'",
            ) from error
        self.engine = _engine(self.path)

    @property
    def place(self) -> str:
        return str(self.path)

    def look(self, connection: Connection) -> None:
        answers = [row[0] for row in connection.exec_driver_sql("PRAGMA quick_check(3)")]
        if answers != ["ok"]:
            raise self.damaged("; ".join(str(answer) for answer in answers))

    def damaged(self, what: str) -> StateError:
        path = self.path
        return StateError(
            f"is damaged and was left as it is: {what}",
            where=str(path),
            mend=f"restore a backup, or move it away to start afresh: mv {path} {path}.damaged",
        )

    def explained(self, error: SQLAlchemyError) -> StateError | None:
        if isinstance(error, IntegrityError | ProgrammingError):
            return None
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return self.damaged(str(cause))
        if code in _PASSING:
            what, mend = _PASSING[code]
            return StateUnavailable(f"{what}: {cause}", where=self.place, mend=mend)
        mend = "look at the disk and at the system's log"
        return StateError(f"failed: {cause}", where=self.place, mend=mend)


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
