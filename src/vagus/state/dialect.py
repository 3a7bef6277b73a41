"""What SQLite and Postgres do differently, as far as the state is concerned.

The tables, the stores and their statements are the same on both. What differs is how a database is
found and opened, which statement takes the one write lock, whose clock a lease runs by, and what
its complaints mean. :mod:`vagus.state.sqlite` and :mod:`vagus.state.postgres` each say that once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from vagus.errors import StateError


class Dialect(Protocol):
    """One database, of one kind."""

    @property
    def engine(self) -> Engine: ...

    @property
    def place(self) -> str:
        """Where it is, for people: never with a password."""
        ...

    @property
    def elsewhere(self) -> str:
        """What to do when this one can't be used."""
        ...

    @property
    def begin_write(self) -> Sequence[str]:
        """Statements that begin a transaction and return once it holds the one write lock."""
        ...

    @property
    def begin_read(self) -> Sequence[str]:
        """Statements that begin a transaction that sees one moment and never waits for writers."""
        ...

    @property
    def begin_brief(self) -> Sequence[str]:
        """Statements that begin a transaction which may write one row beside the write lock."""
        ...

    @property
    def now(self) -> str | None:
        """An SQL expression for the time, in seconds since the epoch, by the clock that all
        processes of the state share. None: they share a machine, so its clock will do."""
        ...

    @property
    def set_up(self) -> Sequence[str]:
        """Statements that settle what holds for the whole database, before its tables are made."""
        ...

    @property
    def readers_write(self) -> bool:
        """Whether even who only reads has to be able to write, so that opening had better try."""
        ...

    def look(self, connection: Connection) -> None:
        """Raise StateError if it is damaged. Changes nothing."""
        ...

    def damaged(self, what: str) -> StateError: ...

    def explained(self, error: SQLAlchemyError) -> StateError | None:
        """The database's complaint, with the place and the mend. None: the mistake is ours."""
        ...
