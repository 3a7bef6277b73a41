"""Damage to what the vector store keeps: searches go wrong, and nothing fails or gets slow.

- *foreign documents*: an index of lists is laid out for what was there when it was built. Then as
  many documents come in that are alike among themselves and unlike all others: the same passages,
  turned by one fixed rotation, as another language would be. They fall into lists that mean nothing
  to them, and a search of a few lists misses most of their neighbours.
- *deleted rows*: an index of links leads through rows that are no more. A search follows it until
  it has seen as many rows as it looks at, and gives back those few that still live.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import psycopg
from psycopg import sql

from vagus.errors import LabError
from vagus.lab import corpus
from vagus.lab.minilm import DIMENSION, normalised
from vagus.lab.settings import LabSettings
from vagus.lab.vectors import INDEX, TABLE, copy_in, dsn

FOREIGN_FIRST = 1_000_000
"""The id of the first foreign document."""

LISTS = 100
LIST_INDEX = "passages_embedding_ivfflat"
ONE_LEFT_OF = 20
"""Of the perturbations; the passages themselves stay, so that answers can still be found."""


@dataclass(frozen=True)
class Damage:
    """``prepare`` brings the store into a healthy state in which the damage is one."""

    prepare: Callable[[psycopg.Connection, LabSettings], None]
    inflict: Callable[[psycopg.Connection, LabSettings], None]


def prepare(settings: LabSettings, name: str) -> None:
    """Make ready for the damage ``name``. Raises LabError."""
    _run(settings, _known(name).prepare)


def inflict(settings: LabSettings, name: str) -> None:
    """Do the damage ``name``; the next start of the lab makes it good. Raises LabError."""
    _run(settings, _known(name).inflict)


def _known(name: str) -> Damage:
    if name not in DAMAGES:
        raise LabError(f"no damage is called {name!r}", mend=f"there are: {', '.join(DAMAGES)}")
    return DAMAGES[name]


def _run(settings: LabSettings, act: Callable[[psycopg.Connection, LabSettings], None]) -> None:
    try:
        with psycopg.connect(dsn(settings), autocommit=True) as connection:
            act(connection, settings)
    except psycopg.Error as error:
        raise LabError(f"the store refuses: {error}", where="vectors-1") from error


def _do(connection: psycopg.Connection, statement: str) -> None:
    names = {name: sql.Identifier(name) for name in (TABLE, INDEX, LIST_INDEX)}
    connection.execute(sql.SQL(statement).format(**names))


def _lists(connection: psycopg.Connection, settings: LabSettings) -> None:
    """An index of lists in place of the one of links."""
    _do(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {{{LIST_INDEX}}}")
    _do(
        connection,
        f"CREATE INDEX CONCURRENTLY {{{LIST_INDEX}}} ON {{{TABLE}}}"
        f" USING ivfflat (embedding vector_cosine_ops) WITH (lists = {LISTS})",
    )
    _do(connection, f"DROP INDEX CONCURRENTLY IF EXISTS {{{INDEX}}}")


def _foreign_documents(connection: psycopg.Connection, settings: LabSettings) -> None:
    documents = corpus.cached(settings)
    noisy, origins = corpus.perturbations(documents, settings.perturbations, settings.seed)
    chance = np.random.default_rng(settings.seed)
    rotation, _ = np.linalg.qr(chance.standard_normal((DIMENSION, DIMENSION)))
    texts = [f"foreign: {documents.passages[origin].text}" for origin in origins]
    copy_in(connection, texts, normalised(noisy @ rotation.astype(np.float32)), FOREIGN_FIRST)


def _nothing(connection: psycopg.Connection, settings: LabSettings) -> None:
    """The store as it is after its start will do."""


def _deleted_rows(connection: psycopg.Connection, settings: LabSettings) -> None:
    statement = sql.SQL("DELETE FROM {} WHERE id >= %s AND id %% %s <> 0")
    which = (settings.passages, ONE_LEFT_OF)
    connection.execute(statement.format(sql.Identifier(TABLE)), which)


DAMAGES: Mapping[str, Damage] = {
    "foreign-documents": Damage(_lists, _foreign_documents),
    "deleted-rows": Damage(_nothing, _deleted_rows),
}
