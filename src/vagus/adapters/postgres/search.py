"""Searches that are made twice: by whatever plan callers get, and by a plan that can't err.

Both run in one transaction on one snapshot, so that what is written meanwhile makes no difference
between them. The exact plan is had by forbidding index scans for that transaction; which plan the
other one gets is asked of EXPLAIN each time, because a planner may prefer to read everything, and
then there is no index to judge.

A row counts as found if it is no farther than the farthest of the exact rows: equal distances are
equally right, and copies of a document must not look like loss.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vagus.adapters.postgres.connection import Kept, one_line
from vagus.adapters.postgres.layout import Layout, read_layout
from vagus.clock import Clock
from vagus.errors import MalformedData, SourceError, TargetUnreachable
from vagus.model import INVALID, Document, Failure, Query, Retrieval, Subject, Vector

if TYPE_CHECKING:
    from psycopg import AsyncConnection

LAYOUT_AGE = 5.0  # s for which a layout is believed: indexes come and go
MANY_PAGES = 4096  # of a table; from here on documents are taken from some pages only
WORDS = 80  # characters of a text by which a person can tell it
ROUNDING = 1e-6  # of a distance: two plans may add up in another order


class PgvectorProbe:
    """Implements :class:`~vagus.ports.RetrievalProbe` for the tables of one database."""

    def __init__(self, dsn: str, clock: Clock, *, timeout: float) -> None:
        self._connection = Kept(dsn, timeout=timeout)
        self._clock = clock
        self._timeout = timeout
        self._layouts: dict[str, tuple[float, Layout]] = {}

    async def documents(self, subject: Subject, count: int) -> Sequence[Document]:
        import psycopg

        try:
            async with asyncio.timeout(2 * self._timeout), self._connection.turn() as connection:
                layout = await self._layout(connection, subject.replica)
                return await _documents(connection, layout, count)
        except psycopg.Error as error:
            raise TargetUnreachable(one_line(error), where=str(subject)) from error
        except TimeoutError as error:
            raise TargetUnreachable("no answer in time", where=str(subject)) from error

    async def search(self, subject: Subject, query: Query, k: int) -> Retrieval:
        import psycopg

        def failed(why: Failure) -> Retrieval:
            now = self._clock.now()
            return Retrieval(subject, now, why, query.text[:WORDS], query.cluster, k)

        try:
            async with asyncio.timeout(2 * self._timeout), self._connection.turn() as connection:
                layout = await self._layout(connection, subject.replica)
                async with connection.transaction():
                    await connection.execute(
                        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                    )
                    seen = await _search(connection, layout, query, k)
        except (TimeoutError, psycopg.errors.QueryCanceled):
            return failed(Failure.TIMEOUT)
        except (psycopg.DataError, psycopg.ProgrammingError, MalformedData):
            self._layouts.pop(subject.replica, None)
            return failed(Failure.UNPARSEABLE)
        except (psycopg.Error, SourceError):
            return failed(Failure.REFUSED)
        return Retrieval(
            subject,
            self._clock.now(),
            query=query.text[:WORDS],
            cluster=query.cluster,
            k=k,
            dead=layout.dead,
            **seen,
        )

    async def close(self) -> None:
        await self._connection.close()

    async def _layout(self, connection: AsyncConnection, collection: str) -> Layout:
        now = self._clock.monotonic()
        read_at, known = self._layouts.get(collection, (float("-inf"), None))
        if known is None or now - read_at > LAYOUT_AGE:
            known = await read_layout(connection, collection)
            self._layouts[collection] = now, known
        return known


def as_text(vector: Vector) -> str:
    """How pgvector reads a vector."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


async def _documents(connection: AsyncConnection, layout: Layout, count: int) -> Sequence[Document]:
    """By chance; of a large table from a share of its pages, which need not be read all."""
    size = "SELECT relpages FROM pg_class WHERE oid = %s"
    found = await (await connection.execute(size, (layout.oid,))).fetchone()
    pages = int(found[0]) if found is not None else 0
    sample = ""
    if pages > MANY_PAGES:
        sample = f"TABLESAMPLE SYSTEM ({100 * max(MANY_PAGES, 8 * count) / pages:.6f})"
    text = f"left({layout.text}, {WORDS})" if layout.text else "''"
    statement = (
        f"SELECT {layout.key}::text, {text}, {layout.column}::text FROM {layout.table} {sample} "  # noqa: S608
        f"WHERE {layout.column} IS NOT NULL ORDER BY random() LIMIT {int(count)}"
    )
    rows = await (await connection.execute(statement.encode())).fetchall()
    return [
        Document(key, words or "", np.array(vector[1:-1].split(","), dtype=np.float32))
        for key, words, vector in rows
    ]


async def _search(
    connection: AsyncConnection, layout: Layout, query: Query, k: int
) -> dict[str, Any]:
    """The fields of a :class:`Retrieval` that come from the store."""
    statement = (
        f"SELECT {layout.key}::text, "  # noqa: S608
        f"{layout.column} {layout.operator} %s::text::{layout.kind} AS far FROM {layout.table} "
        f"ORDER BY far LIMIT {int(k)}"
    ).encode()
    given = (as_text(query.vector),)
    explained = await connection.execute(b"EXPLAIN (COSTS off) " + statement, given)
    plan = "\n".join(str(row[0]) for row in await explained.fetchall())
    index = next((i for i in layout.indexes if f"using {_shown(i.name)} on" in plan), None)
    began = time.perf_counter()
    callers = await (await connection.execute(statement, given)).fetchall()
    between = time.perf_counter()
    for way in ("indexscan", "indexonlyscan", "bitmapscan"):
        await connection.execute(f"SET LOCAL enable_{way} = off".encode())
    await connection.execute(b"SET LOCAL enable_seqscan = on")  # somebody may have forbidden it
    asked = time.perf_counter()
    exact = await (await connection.execute(statement, given)).fetchall()
    ended = time.perf_counter()
    farthest = max((row[1] for row in exact), default=0.0)
    bound = farthest + ROUNDING * max(1.0, abs(farthest))
    seen: dict[str, Any] = {
        "exact": len(exact),
        "returned": len(callers),
        "agreed": sum(1 for row in callers if row[1] <= bound),
        "latency": between - began,
        "exact_latency": ended - asked,
        "index": str(index) if index is not None else _unused(layout),
    }
    if query.expected:
        held = await _held(connection, layout, query.expected)
        seen["golden"] = bool({row[0] for row in exact} & set(query.expected))
        seen["gone"] = ", ".join(name for name in query.expected if name not in held)
    return seen


async def _held(
    connection: AsyncConnection, layout: Layout, expected: Sequence[str]
) -> frozenset[str]:
    """Which of the ``expected`` documents the collection holds."""
    statement = (
        f"SELECT {layout.key}::text FROM {layout.table} "  # noqa: S608
        f"WHERE {layout.key} = ANY(%s::text[]::{layout.key_type}[])"
    )
    await connection.execute("SET LOCAL enable_indexscan = on")  # of its key, this time
    rows = await (await connection.execute(statement.encode(), (list(expected),))).fetchall()
    return frozenset(str(row[0]) for row in rows)


def _unused(layout: Layout) -> str:
    """What is said of an index that did not answer: one that can't is named."""
    serving = layout.serving
    return f"{serving.name} {INVALID}" if serving is not None and not serving.valid else ""


def _shown(name: str) -> str:
    """How EXPLAIN writes an index's name."""
    plain = name.replace("_", "a").isalnum() and name == name.lower() and not name[0].isdigit()
    return name if plain else '"' + name.replace('"', '""') + '"'
