"""Mending an index while it serves: built anew beside it, exchanged, and able to go back.

``REINDEX CONCURRENTLY`` would drop the old index at once, and an index that comes out worse than it
went in (other parameters since, fewer lists than rows, a sample with bad luck) could not be taken
back. So the same is done in parts: ``CREATE INDEX CONCURRENTLY`` under a name of its own; then, in
one short transaction, the names are exchanged and the old index is *set aside*: marked invalid, so
that no plan uses it, while every write goes on maintaining it. Taking back is the same exchange,
and what returns has missed nothing. Setting aside is a mark in the catalogue, which takes a
superuser; without one nothing is begun.

What a building is for stands in its name, as a hash of the order's token. So whoever comes after a
crash knows whose it is: a valid one is put in place, a broken one is removed. Postgres goes on
building for a client that is gone; until that is over, the lock that the builder holds says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from vagus.adapters.postgres.connection import connect, one_line
from vagus.adapters.postgres.layout import Index, Layout, names_under, read_layout
from vagus.errors import ActionError, SourceError, UnderWay
from vagus.model import Subject

if TYPE_CHECKING:
    from psycopg import AsyncConnection

log = structlog.get_logger()

LOCKED_MS = 20_000  # that a change waits for other transactions; callers queue behind it meanwhile
PATIENT_MS = 600_000  # the same for a building, which nobody queues behind
_LOCK = 0x7661_6775  # the first key of our advisory locks; the second is the table


class PgvectorKeeper:
    """Implements :class:`~vagus.ports.IndexKeeper` for the tables of one database."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._tasks: dict[tuple[Subject, str], asyncio.Task[None]] = {}

    # --- an index --------------------------------------------------------------------------------

    async def rebuild(self, subject: Subject, token: str) -> None:
        async with self._connected(subject) as (connection, layout):
            if layout.serving is None:
                raise ActionError(
                    "it has no approximate index to be rebuilt",
                    where=str(subject),
                    mend="create one: which kind, and with which parameters, is your decision",
                )
            if not await _may_set_aside(connection):
                raise ActionError(
                    "the database's role can't set an index aside, so there would be no way back",
                    where=str(subject),
                    mend="connect as a superuser, or run REINDEX INDEX CONCURRENTLY yourself",
                )
            if await _is_building(connection, layout):
                raise ActionError("somebody else rebuilds its index already", where=str(subject))
        self._begin(subject, token, self._build(subject, token))

    async def rebuilt(self, subject: Subject, token: str) -> bool:
        self._raise_if_under_way(subject, token)
        async with self._connected(subject) as (connection, layout):
            if await _is_building(connection, layout):
                raise UnderWay("its index is being built", where=str(subject))
            serving, fresh, kept = _of(layout, token)
            if kept is not None:
                return serving is not None and serving.valid
            if serving is not None and fresh is not None and fresh.valid:
                await _exchange(connection, layout, serving, fresh, token)
                return True
            if fresh is not None:
                await _drop(connection, fresh)
            return False

    async def put_back(self, subject: Subject, token: str) -> None:
        async with self._connected(subject) as (connection, layout):
            serving, fresh, kept = _of(layout, token)
            if serving is None or kept is None:
                if fresh is not None:  # it was put back already
                    await _drop(connection, fresh)
                    return
                raise ActionError("the old index is gone", where=str(subject))
            name = names_under(serving.name, token)[0]
            async with _change(connection, layout):
                await _mark(connection, serving, valid=False)
                await _mark(connection, kept, valid=True)
                await _rename(connection, serving, name)
                await _rename(connection, kept, serving.name)
            await _drop_if_possible(connection, serving, name)

    async def let_go(self, subject: Subject, token: str) -> None:
        async with self._connected(subject) as (connection, layout):
            _, _, kept = _of(layout, token)
            if kept is not None:
                await _drop_if_possible(connection, kept, kept.name)

    async def _build(self, subject: Subject, token: str) -> None:
        async with self._connected(subject, locked=True) as (connection, layout):
            for index in layout.indexes:
                if index.ours:  # of a rebuild that was cut off, or that nobody needs any more
                    await _drop(connection, index)
            serving = layout.serving
            assert serving is not None, "it was there a moment ago"
            name, _ = names_under(serving.name, token)
            await _do(connection, f"SET lock_timeout = {PATIENT_MS}")
            try:
                await _do(
                    connection,
                    f"CREATE INDEX CONCURRENTLY {_quoted(name)} ON {layout.table} {serving.body}",
                )
            except BaseException:
                await self._remove_leftover(subject, token)
                raise
            layout = await read_layout(connection, subject.replica)
            serving, fresh, _ = _of(layout, token)
            assert serving is not None
            assert fresh is not None
            await _exchange(connection, layout, serving, fresh, token)

    async def _remove_leftover(self, subject: Subject, token: str) -> None:
        """On a connection of its own: that of the building may be what broke."""
        try:
            async with self._connected(subject) as (connection, layout):
                _, fresh, _ = _of(layout, token)
                if fresh is not None and not fresh.valid:
                    await _drop(connection, fresh)
        except (ActionError, SourceError) as error:
            log.warning("index.leftover", subject=str(subject), error=str(error))

    # --- a table ---------------------------------------------------------------------------------

    async def vacuum(self, subject: Subject, token: str) -> None:
        async with self._connected(subject):
            pass  # it is there, and it answers
        self._begin(subject, token, self._clean(subject))

    async def vacuumed(self, subject: Subject, token: str) -> bool | None:
        known = self._tasks.get((subject, token))
        self._raise_if_under_way(subject, token)
        return True if known is not None else None

    async def _clean(self, subject: Subject) -> None:
        async with self._connected(subject) as (connection, layout):
            await _do(connection, f"VACUUM (ANALYZE) {layout.table}")

    # --- what goes on by itself ------------------------------------------------------------------

    def _begin(self, subject: Subject, token: str, work: Coroutine[None, None, None]) -> None:
        for key in [key for key, task in self._tasks.items() if task.done()]:
            del self._tasks[key]
        self._tasks[subject, token] = asyncio.create_task(work, name=f"{token} of {subject}")

    def _raise_if_under_way(self, subject: Subject, token: str) -> None:
        task = self._tasks.get((subject, token))
        if task is None:
            return
        if not task.done():
            raise UnderWay("it is being done", where=str(subject))
        if not task.cancelled() and (error := task.exception()) is not None:
            raise ActionError(one_line(error), where=str(subject)) from error

    async def close(self) -> None:
        """What is being done is left to Postgres, which ends it or goes on as it likes."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    @asynccontextmanager
    async def _connected(
        self, subject: Subject, *, locked: bool = False
    ) -> AsyncIterator[tuple[AsyncConnection, Layout]]:
        """A connection and the layout; with ``locked`` as the only one who builds there. What goes
        wrong is an ActionError."""
        import psycopg

        try:
            connection = await connect(self._dsn)
        except SourceError as error:
            raise ActionError(error.message, where=str(subject)) from error
        try:
            await _do(connection, f"SET lock_timeout = {LOCKED_MS}")
            layout = await read_layout(connection, subject.replica)
            if locked:
                asked = await connection.execute(
                    "SELECT pg_try_advisory_lock(%s, %s::oid::int4)", (_LOCK, layout.oid)
                )
                if await asked.fetchone() != (True,):
                    raise ActionError("somebody else rebuilds its index", where=str(subject))
            yield connection, layout
        except (psycopg.Error, SourceError) as error:
            raise ActionError(one_line(error), where=str(subject)) from error
        finally:
            await connection.close()


def _of(layout: Layout, token: str) -> tuple[Index | None, Index | None, Index | None]:
    """The index that serves, the one that was built under ``token`` beside it, and the one that was
    set aside for it."""
    serving = layout.serving
    if serving is None:
        return None, None, None
    fresh, kept = names_under(serving.name, token)
    return serving, layout.named(fresh), layout.named(kept)


async def _exchange(
    connection: AsyncConnection, layout: Layout, serving: Index, fresh: Index, token: str
) -> None:
    _, aside = names_under(serving.name, token)
    async with _change(connection, layout):
        await _mark(connection, serving, valid=False)
        await _rename(connection, serving, aside)
        await _rename(connection, fresh, serving.name)


@asynccontextmanager
async def _change(connection: AsyncConnection, layout: Layout) -> AsyncIterator[None]:
    """A transaction that exchanges indexes. That one was marked is told to other sessions for the
    index alone; plans are kept for the table, so its row is touched too, and they are made anew."""
    async with connection.transaction():
        yield
        await connection.execute(
            "UPDATE pg_class SET relhasindex = relhasindex WHERE oid = %s", (layout.oid,)
        )


async def _mark(connection: AsyncConnection, index: Index, *, valid: bool) -> None:
    await connection.execute(
        "UPDATE pg_index SET indisvalid = %s WHERE indexrelid = %s", (valid, index.oid)
    )


async def _rename(connection: AsyncConnection, index: Index, name: str) -> None:
    await _do(
        connection,
        f"ALTER INDEX {_quoted(index.schema)}.{_quoted(index.name)} RENAME TO {_quoted(name)}",
    )


async def _drop(connection: AsyncConnection, index: Index, name: str = "") -> None:
    full = f"{_quoted(index.schema)}.{_quoted(name or index.name)}"
    await _do(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {full}")


async def _drop_if_possible(connection: AsyncConnection, index: Index, name: str) -> None:
    """It serves nobody. If a long transaction is in the way, the next rebuild removes it."""
    import psycopg

    try:
        await _drop(connection, index, name)
    except psycopg.Error as error:
        log.warning("index.not_dropped", index=name, error=one_line(error))


async def _do(connection: AsyncConnection, statement: str) -> None:
    await connection.execute(statement.encode())


async def _may_set_aside(connection: AsyncConnection) -> bool:
    asked = await connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    return await asked.fetchone() == (True,)


async def _is_building(connection: AsyncConnection, layout: Layout) -> bool:
    """Whether any session builds there: one of ours holds the lock for as long as it does."""
    asked = await connection.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        " AND classid::int8 = %s AND objid = %s AND pid <> pg_backend_pid()",
        (_LOCK, layout.oid),
    )
    return await asked.fetchone() != (0,)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
