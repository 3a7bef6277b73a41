"""What is promised of a store's probe and of the keeper of its indexes, on a real pgvector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import numpy as np
import psycopg
import pytest

from vagus.adapters.postgres.index import PgvectorKeeper
from vagus.adapters.postgres.layout import names_under
from vagus.adapters.postgres.search import PgvectorProbe
from vagus.clock import SystemClock
from vagus.errors import ActionError, SourceError, UnderWay
from vagus.model import INVALID, Failure, Query, Retrieval, Subject, Vector
from vagus.testing.postgres import Server, running

PASSAGES = Subject("vectors", "passages")
INDEX, K, ROWS, DIMENSION = "by_meaning", 10, 2000, 16
CHANCE = np.random.default_rng(5)
VECTORS = CHANCE.standard_normal((ROWS, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


@dataclass
class Store:
    dsn: str
    probe: PgvectorProbe
    keeper: PgvectorKeeper

    def do(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())

    def ask(self, statement: str) -> list[object]:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            return [row[0] for row in connection.execute(statement.encode()).fetchall()]

    def indexes(self) -> list[object]:
        return self.ask(
            "SELECT indexrelid::regclass::text || CASE WHEN indisvalid THEN '' ELSE ' invalid' END"
            " FROM pg_index WHERE indrelid = 'passages'::regclass AND NOT indisprimary ORDER BY 1"
        )

    async def searched(self, row: int = 0) -> Retrieval:
        return await self.probe.search(PASSAGES, a_query(row), K)

    async def rebuilt(self, token: str) -> bool:
        """Wait until the building is over."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return await self.keeper.rebuilt(PASSAGES, token)
                except UnderWay:
                    await asyncio.sleep(0.01)


def a_query(row: int, expected: tuple[str, ...] = ()) -> Query:
    return Query(f"row {row}", VECTORS[row], "1", expected)


def literal(vector: Vector) -> str:
    return "[" + ",".join(map(str, vector.tolist())) + "]"


@pytest.fixture
async def store(server: Server) -> AsyncIterator[Store]:
    dsn = server.new_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(
            f"CREATE TABLE passages (id int PRIMARY KEY, t text, v vector({DIMENSION}))".encode()
        )
        with connection.cursor() as cursor, cursor.copy("COPY passages FROM STDIN") as copy:
            for row, vector in enumerate(VECTORS):
                copy.write_row((row, f"row {row}", literal(vector)))
        connection.execute(
            f"CREATE INDEX {INDEX} ON passages USING hnsw (v vector_l2_ops)".encode()
        )
        connection.execute("ANALYZE passages")
        # So small a table is read as a whole as readily as by its index.
        connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_seqscan = off',"
            " current_database()); END $$"
        )
    made = Store(dsn, PgvectorProbe(dsn, SystemClock(), timeout=20.0), PgvectorKeeper(dsn))
    yield made
    await made.keeper.close()
    await made.probe.close()


async def test_a_search_is_compared_with_an_exact_one_of_the_same_rows(store: Store) -> None:
    recalls = [(await store.searched(row)).recall for row in range(20)]
    assert np.mean(recalls) > 0.95
    search = await store.searched()
    assert (search.failure, search.exact, search.returned) == (None, K, K)
    assert INDEX in search.index
    assert "hnsw" in search.index
    assert search.latency > 0
    assert search.exact_latency > 0


async def test_the_exact_plan_is_not_kept_for_the_other_query(store: Store) -> None:
    """Prepared, both would get one plan after five runs, and recall would read 1.000 for ever."""
    store.do("DELETE FROM passages WHERE id % 20 <> 0")
    for _ in range(12):
        search = await store.searched()
        assert search.exact == K
        assert search.recall < 0.9


async def test_documents_are_taken_by_chance(store: Store) -> None:
    documents = await store.probe.documents(PASSAGES, 50)
    assert len({document.id for document in documents}) == 50
    for document in documents:
        np.testing.assert_allclose(document.vector, VECTORS[int(document.id)], rtol=1e-4)
        assert document.text == f"row {document.id}"


async def test_what_is_expected_is_looked_for_exactly(store: Store) -> None:
    found = await store.probe.search(PASSAGES, a_query(7, ("7",)), K)
    assert (found.golden, found.gone) == (True, "")
    other = await store.probe.search(PASSAGES, a_query(7, ("1500", "99999")), K)
    assert other.gone == "99999"
    store.do("DELETE FROM passages WHERE id = 7")
    lost = await store.probe.search(PASSAGES, a_query(7, ("7",)), K)
    assert (lost.golden, lost.gone) == (False, "7")


async def test_an_invalid_index_is_named(store: Store) -> None:
    store.do(
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{INDEX}'::regclass;"
        "UPDATE pg_class SET relhasindex = relhasindex WHERE oid = 'passages'::regclass"
    )
    search = await store.searched()
    assert search.index == f"{INDEX} {INVALID}"
    assert search.recall == 1


@pytest.mark.parametrize(
    ("collection", "vector", "why"),
    [
        ("no_such_table", VECTORS[0], Failure.UNPARSEABLE),
        ("passages", VECTORS[0][:-1], Failure.UNPARSEABLE),
        ("passages", np.full(DIMENSION, np.nan, dtype=np.float32), Failure.UNPARSEABLE),
    ],
    ids=["no such table", "another dimension", "not a number"],
)
async def test_what_can_not_be_searched_is_a_failure(
    store: Store, collection: str, vector: Vector, why: Failure
) -> None:
    search = await store.probe.search(Subject("vectors", collection), Query("q", vector), K)
    assert search.failure is why
    assert (await store.searched()).failure is None, "and the next search is none the worse"


async def test_an_empty_collection_has_nothing_to_be_found(store: Store) -> None:
    store.do("DELETE FROM passages")
    search = await store.searched()
    assert (search.failure, search.exact, search.recall) == (None, 0, 1)
    assert await store.probe.documents(PASSAGES, 10) == []


async def test_a_store_that_is_down_is_a_failure_and_no_recall(store: Store) -> None:
    away = PgvectorProbe("postgresql://nobody@127.0.0.1:1/none", SystemClock(), timeout=5.0)
    assert (await away.search(PASSAGES, a_query(0), K)).failure is Failure.REFUSED
    with pytest.raises(SourceError):
        await away.documents(PASSAGES, 1)
    with pytest.raises(ActionError):
        await PgvectorKeeper("postgresql://nobody@127.0.0.1:1/none").rebuild(PASSAGES, "t")


async def test_a_rebuild_finds_again_what_deleted_rows_hid(store: Store) -> None:
    store.do("DELETE FROM passages WHERE id % 20 <> 0")
    assert (await store.searched()).returned < K
    await store.keeper.rebuild(PASSAGES, "t1")
    assert await store.rebuilt("t1")
    search = await store.searched()
    assert (search.returned, search.recall) == (K, 1)
    kept = names_under(INDEX, "t1")[1]
    assert store.indexes() == [INDEX, f"{kept} invalid"], "the old one is kept, and not used"
    await store.keeper.let_go(PASSAGES, "t1")
    await store.keeper.let_go(PASSAGES, "t1")
    assert store.indexes() == [INDEX]


async def test_what_is_put_back_has_missed_nothing(store: Store) -> None:
    """The parameters were changed since the index was built, and take effect when it is rebuilt."""
    store.do(f"ALTER INDEX {INDEX} SET (m = 2, ef_construction = 4)")
    good = np.mean([(await store.searched(row)).recall for row in range(20)])
    await store.keeper.rebuild(PASSAGES, "t1")
    assert await store.rebuilt("t1")
    bad = np.mean([(await store.searched(row)).recall for row in range(20)])
    assert bad < good - 0.2
    far = literal(np.full(DIMENSION, 9, dtype=np.float32))
    store.do(f"INSERT INTO passages VALUES (9999, 'written meanwhile', '{far}')")
    await store.keeper.put_back(PASSAGES, "t1")
    assert not await store.rebuilt("t1")
    assert store.indexes() == [INDEX]
    assert np.mean([(await store.searched(row)).recall for row in range(20)]) == good
    late = Query("late", np.full(DIMENSION, 9, dtype=np.float32), "1", ("9999",))
    search = await store.probe.search(PASSAGES, late, K)
    assert search.golden
    assert search.agreed > 0


async def test_plans_that_other_sessions_keep_follow(store: Store) -> None:
    with psycopg.connect(store.dsn, autocommit=True) as session:
        near = f"SELECT id FROM passages ORDER BY v <-> '{literal(VECTORS[0])}' LIMIT 3"
        session.execute(f"PREPARE near AS {near}".encode())

        def plan() -> str:
            return str(session.execute("EXPLAIN EXECUTE near").fetchall())

        assert INDEX in plan()
        await store.keeper.rebuild(PASSAGES, "t1")
        assert await store.rebuilt("t1")
        assert f"using {INDEX} on" in plan()
        await store.keeper.let_go(PASSAGES, "t1")
        assert f"using {INDEX} on" in plan()


async def test_two_rebuilds_at_once_are_one(store: Store) -> None:
    with psycopg.connect(store.dsn, autocommit=True) as blocking, blocking.transaction():
        blocking.execute("LOCK TABLE passages IN ROW EXCLUSIVE MODE")  # a building waits for it
        await store.keeper.rebuild(PASSAGES, "t1")
        other = PgvectorKeeper(store.dsn)
        async with asyncio.timeout(30):
            while True:
                try:
                    await other.rebuilt(PASSAGES, "t1")
                except UnderWay:
                    break
        with pytest.raises(ActionError, match="somebody else"):
            await other.rebuild(PASSAGES, "t2")
    assert await store.rebuilt("t1")


async def test_a_rebuild_that_was_killed_leaves_nothing_behind(store: Store) -> None:
    with psycopg.connect(store.dsn, autocommit=True) as blocking:
        with blocking.transaction():
            blocking.execute("LOCK TABLE passages IN ROW EXCLUSIVE MODE")
            await store.keeper.rebuild(PASSAGES, "t1")
            async with asyncio.timeout(30):
                building = "SELECT pid FROM pg_stat_progress_create_index"
                while not (pids := store.ask(building)):
                    await SystemClock().sleep(0.01)
            store.do(f"SELECT pg_terminate_backend({pids[0]})")
        with pytest.raises(ActionError):
            await store.rebuilt("t1")
    assert store.indexes() == [INDEX]
    assert (await store.searched()).recall > 0.8


async def test_what_an_ended_process_built_is_put_in_place_by_who_looks(store: Store) -> None:
    fresh, kept = names_under(INDEX, "t1")
    store.do(f"CREATE INDEX {fresh} ON passages USING hnsw (v vector_l2_ops)")
    assert await store.rebuilt("t1")
    assert store.indexes() == [INDEX, f"{kept} invalid"]
    assert await store.rebuilt("t1"), "looking again changes nothing"


async def test_what_an_ended_process_left_half_built_is_removed(store: Store) -> None:
    fresh, _ = names_under(INDEX, "t1")
    store.do(f"CREATE INDEX {fresh} ON passages USING hnsw (v vector_l2_ops)")
    store.do(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{fresh}'::regclass")
    assert not await store.rebuilt("t1")
    assert store.indexes() == [INDEX]


async def test_without_the_right_to_go_back_nothing_is_begun(store: Store) -> None:
    store.do("CREATE ROLE plain LOGIN PASSWORD 'x'; GRANT ALL ON passages TO plain")
    plain = PgvectorKeeper(store.dsn + "&user=plain&password=x")
    try:
        with pytest.raises(ActionError, match="no way back"):
            await plain.rebuild(PASSAGES, "t1")
    finally:
        store.do("DROP OWNED BY plain; DROP ROLE plain")
    assert store.indexes() == [INDEX]


async def test_a_vacuum_says_when_it_is_over(store: Store) -> None:
    store.do("DELETE FROM passages WHERE id % 20 <> 0")
    await store.keeper.vacuum(PASSAGES, "t1")
    async with asyncio.timeout(60):
        while True:
            try:
                assert await store.keeper.vacuumed(PASSAGES, "t1")
            except UnderWay:
                await asyncio.sleep(0.01)
            else:
                break
    assert (await store.searched()).returned == K
    assert await store.keeper.vacuumed(PASSAGES, "never ordered") is None
