"""The passages nearest to a vector, from Postgres, through whatever stands in front of it.

A few connections are kept open. One that was idle may have died unnoticed (the database was
restarted, the gateway cut it), so a query that fails on an old connection gets one more try on a
new one; a query that fails on a new one has failed.

A stopped server still acknowledges packets, and cancelling a query at it hangs as well as the query
does: so an overdue query is left behind, and its connection with it, instead of waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import AsyncConnection

_NEAREST = (
    "SELECT id, passage, embedding <=> %(vector)s::vector AS distance"
    " FROM passages ORDER BY distance LIMIT %(count)s"
)


class RetrievalFailed(Exception):
    """The store gave no answer to a query; the message says why."""


@dataclass(frozen=True)
class Hit:
    """One row that was found; ``distance`` is the cosine distance, 0 to 2."""

    id: int
    passage: str
    distance: float


Connect = Callable[[], Awaitable[AsyncConnection]]


def connecting_to(dsn: str) -> Connect:
    """Open connections to ``dsn``.

    Statements are never prepared: after five runs Postgres would settle on one plan for all, and
    keep it when the index comes or goes.
    """

    async def connect() -> AsyncConnection:
        return await AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=None)

    return connect


class PassageStore:
    """At most ``connections`` queries at a time; the others wait their turn."""

    def __init__(self, connect: Connect, *, connections: int = 4, timeout_s: float = 5.0) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(connections)
        self._idle: list[AsyncConnection] = []
        self._overdue: set[asyncio.Task[list[Hit]]] = set()

    async def nearest(self, vector: Sequence[float], count: int) -> list[Hit]:
        """The ``count`` nearest passages, nearest first.

        Raises :class:`RetrievalFailed`.
        """
        query = asyncio.create_task(self._with_retry(f"[{','.join(map(repr, vector))}]", count))
        self._overdue.add(query)
        query.add_done_callback(self._overdue.discard)
        try:
            done, _ = await asyncio.wait({query}, timeout=self._timeout_s)
        except asyncio.CancelledError:
            query.cancel()
            raise
        if not done:
            query.cancel()
            raise RetrievalFailed(f"no answer within {self._timeout_s:g} s")
        return query.result()

    async def _with_retry(self, vector: str, count: int) -> list[Hit]:
        try:
            async with self._turns:
                if self._idle:
                    with contextlib.suppress(psycopg.OperationalError):
                        return await self._query(self._idle.pop(), vector, count)
                return await self._query(await self._connect(), vector, count)
        except psycopg.Error as error:
            raise RetrievalFailed(str(error).partition("\n")[0]) from error

    async def _query(self, connection: AsyncConnection, vector: str, count: int) -> list[Hit]:
        try:
            cursor = await connection.execute(_NEAREST, {"vector": vector, "count": count})
            hits = [Hit(*row) for row in await cursor.fetchall()]
        except BaseException:
            await connection.close()
            raise
        self._idle.append(connection)
        return hits

    async def close(self) -> None:
        """Let go of everything; queries under way fail."""
        for query in list(self._overdue):
            query.cancel()
        for connection in self._idle:
            await connection.close()
