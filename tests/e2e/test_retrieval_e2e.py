"""A store whose searches go wrong, a whole Vagus, and a real pgvector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

from benchmarks.stores import watching
from vagus.testing.postgres import Server, running

pytestmark = pytest.mark.e2e

ROWS, DIMENSION = 2000, 16
PATIENCE = 240.0  # s: a busy machine searches slowly


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started:
        yield started


@pytest.fixture
def dsn(server: Server) -> str:
    """A store with 2000 rows and no index."""
    made = server.new_database()
    vectors = np.random.default_rng(3).standard_normal((ROWS, DIMENSION))
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")
        connection.execute(f"CREATE TABLE p (id int PRIMARY KEY, v vector({DIMENSION}))".encode())
        with connection.cursor() as cursor, cursor.copy("COPY p FROM STDIN") as copy:
            for row, vector in enumerate(vectors):
                copy.write_row((row, str(vector.tolist())))
        connection.execute(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_seqscan = off',"
            " current_database()); END $$"
        )
    return made


def do(dsn: str, *statements: str) -> list[object]:
    """The first column of what the last statement gives."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return [row[0] for row in cursor.fetchall()] if cursor.description else []


INDEXES = (
    "SELECT relname || ' ' || indisvalid || ' ' || coalesce(reloptions::text, '')"
    " FROM pg_index JOIN pg_class ON oid = indexrelid"
    " WHERE indrelid = 'p'::regclass AND NOT indisprimary"
)


async def test_deleted_rows_are_found_out_and_the_index_is_rebuilt(
    dsn: str, tmp_path: Path
) -> None:
    do(dsn, "CREATE INDEX by_meaning ON p USING hnsw (v vector_l2_ops)", "ANALYZE p")
    async with watching(tmp_path, dsn, "p") as watched:
        await watched.until_searched(60, PATIENCE)
        assert [e.event for e in watched.events() if e.event.startswith("finding")] == []
        watched.mark()
        do(dsn, "DELETE FROM p WHERE id % 20 <> 0")
        over = await watched.until_over(PATIENCE)
        assert (over.event, over.facts["fault"]) == ("resolved", "tombstones")
        done = [e.facts["action"] for e in watched.events() if e.event == "applied"]
        assert done == ["rebuild-index"]
        assert do(dsn, INDEXES) == ["by_meaning true "], "and the old index is let go of"


async def test_a_rebuild_that_makes_it_worse_is_undone_and_its_licence_lost(
    dsn: str, tmp_path: Path
) -> None:
    """Somebody changed the index's parameters since it was built: that takes effect only now."""
    do(
        dsn,
        "CREATE INDEX by_meaning ON p USING ivfflat (v vector_l2_ops) WITH (lists = 8)",
        "ALTER INDEX by_meaning SET (lists = 400)",
        "ANALYZE p",
    )
    (built,) = do(dsn, "SELECT pg_relation_filenode('by_meaning')")
    async with watching(tmp_path, dsn, "p") as watched:
        over = await watched.until_over(PATIENCE)
        events = watched.events()
        assert over.event == "escalated"
        verdicts = [e.facts["outcome"] for e in events if e.event == "verdict"]
        assert verdicts == ["worse"]
        done = [(e.facts["action"], e.facts["purpose"]) for e in events if e.event == "applied"]
        assert done == [("rebuild-index", "treat"), ("rebuild-index", "undo")]
        revoked = [e.facts for e in events if e.event == "licence.revoked"]
        assert [facts["action"] for facts in revoked] == ["rebuild-index"]
        assert do(dsn, "SELECT pg_relation_filenode('by_meaning')") == [built]
        assert do(dsn, INDEXES) == ["by_meaning true {lists=400}"]
