"""The vector store: Postgres with pgvector, holding the lab's corpus behind an HNSW index.

The password is made with the cluster, and only files with mode 0600 hold it. A DSN refers to such a
file, so it can be shown, logged and passed on in an environment without giving anything away.

Loading is one transaction that ends by writing the corpus's fingerprint onto the table: a table
that carries the right one is complete, whatever happened to the process that filled it.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import psycopg
from psycopg import sql

from vagus.errors import LabError
from vagus.lab import corpus, postgres
from vagus.lab.corpus import Corpus
from vagus.lab.minilm import DIMENSION, Vectors
from vagus.lab.postgres import run_as
from vagus.lab.settings import HOST, LabSettings

__all__ = ["command", "dsn", "load", "prepare_cluster", "run_as"]

ROLE = "lab"
DATABASE = "postgres"
TABLE = "passages"
INDEX = "passages_embedding_hnsw"

_SERVER_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    # Shared memory in files of the data folder: a killed server leaves nothing behind in /dev/shm,
    # which is small in containers. For the same reason an index is built by one process.
    "dynamic_shared_memory_type": "mmap",
    "max_parallel_maintenance_workers": "0",
    "maintenance_work_mem": "128MB",
    "shared_buffers": "64MB",
    "max_connections": "40",
    # All of the data can be made again, and only a crash of the machine itself could cost it.
    "fsync": "off",
    "jit": "off",
    # Of a hundred lists: what an index of lists finds is about what one of links does.
    "ivfflat.probes": "5",
    "log_min_messages": "warning",
}


def prepare_cluster(settings: LabSettings) -> None:
    """Make the data folder and its password, unless they are there; starts nothing."""
    settings.run_dir.mkdir(parents=True, exist_ok=True)
    postgres.prepare(settings)
    password_file = _password_file(settings)
    if (settings.postgres_dir / "PG_VERSION").is_file() and password_file.is_file():
        return
    password = secrets.token_urlsafe(24)
    postgres.write_private(password_file, f"*:*:*:{ROLE}:{password}\n")
    postgres.make_cluster(settings, ROLE, password)


def command(settings: LabSettings) -> list[str]:
    """The server's command line, in the foreground; to be run as :func:`run_as` says.

    It is to be ended with SIGINT: on SIGTERM Postgres would wait for its clients to leave.
    """
    options = {"port": str(settings.vectors_port), **_SERVER_SETTINGS}
    return [
        *(str(postgres.programs(settings) / "postgres"), "-D", str(settings.postgres_dir)),
        *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
    ]


def dsn(settings: LabSettings, *, through_gateway: bool = False) -> str:
    """Where the database is; instead of the password it names the file that holds it."""
    port = settings.vectors_gateway_port if through_gateway else settings.vectors_port
    password_file = quote(str(_password_file(settings)), safe="")
    return (
        f"postgresql://{ROLE}@{HOST}:{port}/{DATABASE}"
        f"?passfile={password_file}&connect_timeout=3&sslmode=disable"
    )


def _password_file(settings: LabSettings) -> Path:
    return settings.run_dir / "vectors.pgpass"


def load(settings: LabSettings) -> None:
    """Fill the table and build its index; returns at once if all is as it should be."""
    documents = corpus.cached(settings)
    mark = f"corpus {documents.fingerprint}, {settings.perturbations}, seed {settings.seed}"
    try:
        with psycopg.connect(dsn(settings)) as connection:
            if not _is_loaded(connection, mark, len(documents.passages) + settings.perturbations):
                _fill(connection, documents, settings)
                connection.execute(
                    sql.SQL("COMMENT ON TABLE {} IS {}").format(sql.Identifier(TABLE), mark)
                )
    except psycopg.Error as error:
        raise LabError(f"the corpus can't be loaded: {error}", where="vectors-1") from error


def _is_loaded(connection: psycopg.Connection, mark: str, rows: int) -> bool:
    """Whether the table is of this corpus, complete, and its index usable."""
    found = connection.execute(
        "SELECT obj_description(indrelid, 'pg_class') FROM pg_index"
        " WHERE indexrelid = to_regclass(%s) AND indisvalid",
        (INDEX,),
    ).fetchone()
    if found != (mark,):
        return False
    count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(TABLE))
    return connection.execute(count).fetchone() == (rows,)


def _fill(connection: psycopg.Connection, documents: Corpus, settings: LabSettings) -> None:
    noisy, origins = corpus.perturbations(documents, settings.perturbations, settings.seed)
    texts = [passage.text for passage in documents.passages]
    texts += [texts[origin] for origin in origins]
    names = {"table": sql.Identifier(TABLE), "index": sql.Identifier(INDEX)}
    for statement in (
        "CREATE EXTENSION IF NOT EXISTS vector",
        "DROP TABLE IF EXISTS {table}",
        f"CREATE TABLE {{table}} (id integer, passage text, embedding vector({DIMENSION}))",
    ):
        connection.execute(sql.SQL(statement).format(**names))
    copy_in(connection, texts, np.concatenate([documents.vectors, noisy]))
    for statement in (
        "ALTER TABLE {table} ADD PRIMARY KEY (id)",
        "CREATE INDEX {index} ON {table} USING hnsw (embedding vector_cosine_ops)",
        "ANALYZE {table}",
    ):
        connection.execute(sql.SQL(statement).format(**names))


def copy_in(
    connection: psycopg.Connection, texts: list[str], vectors: Vectors, first: int = 0
) -> None:
    """Add rows, with the ids from ``first`` on."""
    table = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(sql.Identifier(TABLE))
    with connection.cursor() as cursor, cursor.copy(table) as copy:
        for chunk in _binary_rows(texts, vectors, first):
            copy.write(chunk)


def _binary_rows(texts: list[str], vectors: Vectors, first: int = 0) -> Iterator[bytes]:
    """Rows in COPY's binary format, numbered from ``first`` on; a vector is its length, two spare
    bytes, and its floats."""
    yield b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
    size = 4 + 4 * DIMENSION
    for row, (text, vector) in enumerate(zip(texts, vectors.astype(">f4"), strict=True), first):
        raw = text.encode()
        yield struct.pack(">hiii", 3, 4, row, len(raw)) + raw
        yield struct.pack(">ihh", size, DIMENSION, 0) + vector.tobytes()
    yield struct.pack(">h", -1)
