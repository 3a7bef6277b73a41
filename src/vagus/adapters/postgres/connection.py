"""Connections to the user's database: few, named, and never in the way.

Statements are not prepared. After five runs Postgres settles on one plan for a prepared statement
and keeps it, so an exact search would be answered by the index, or the other way round, and recall
would read 1.000 for ever.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from vagus.errors import ConfigError, MissingExtra, TargetUnreachable

if TYPE_CHECKING:
    from psycopg import AsyncConnection

CONNECT_S = 5
NAME = "vagus"


def dsn_from(variable: str | None, component: str) -> str | None:
    """What the environment says; None where nothing does. Raises ConfigError for what is no DSN,
    without repeating it: it may hold a password."""
    dsn = os.environ.get(variable, "") if variable else ""
    if not dsn:
        return None
    try:
        from psycopg import ProgrammingError, conninfo
    except ModuleNotFoundError as error:
        raise MissingExtra("pgvector", "psycopg") from error
    try:
        conninfo.conninfo_to_dict(dsn)
    except ProgrammingError as error:
        raise ConfigError(
            "is no DSN of Postgres", where=f"${variable} ({component})", mend="postgresql://..."
        ) from error
    return dsn


async def connect(dsn: str, *, timeout: float | None = None) -> AsyncConnection:
    """A new connection, in autocommit. ``timeout``: seconds that a statement may take.

    Raises TargetUnreachable.
    """
    import psycopg

    options = "" if timeout is None else f"-c statement_timeout={int(timeout * 1000)}"
    try:
        return await psycopg.AsyncConnection.connect(
            dsn,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=CONNECT_S,
            application_name=NAME,
            options=options,
        )
    except psycopg.Error as error:
        raise TargetUnreachable(one_line(error)) from error


def one_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


class Kept:
    """One connection that is kept open and used by one at a time; a new one after each failure."""

    def __init__(self, dsn: str, *, timeout: float) -> None:
        self._dsn = dsn
        self._timeout = timeout
        self._turn = asyncio.Lock()
        self._open: AsyncConnection | None = None

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[AsyncConnection]:
        """The connection, for as long as the block lasts; whatever the block raises ends it."""
        async with self._turn:
            if self._open is None or self._open.closed:
                self._open = await connect(self._dsn, timeout=self._timeout)
            try:
                yield self._open
            except BaseException:
                await self._open.close()
                self._open = None
                raise

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()
            self._open = None
