"""How a collection is laid out: its column of vectors, the index on it, its key and its text.

All of it is read from the catalogue, so that a user names a table and nothing else. Identifiers
come back from Postgres quoted as they must be; none is put together here from what a user wrote.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vagus.errors import MalformedData

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_OPERATORS = {"cosine": "<=>", "l2": "<->", "ip": "<#>", "l1": "<+>"}
_OURS = re.compile(r"_vagus_(new|old)_[0-9a-f]{8}$")
_NAME_BYTES = 40  # of 63 that an identifier may have; the rest is for what we add


@dataclass(frozen=True)
class Index:
    """An approximate index over the whole of a column."""

    oid: int
    name: str  # unquoted
    schema: str
    method: str  # hnsw or ivfflat
    valid: bool
    operator: str
    column: str  # quoted
    body: str  # its definition from USING on
    parameters: str

    @property
    def ours(self) -> bool:
        """Whether it is one that a rebuild made or set aside, and not one that serves."""
        return _OURS.search(self.name) is not None

    def __str__(self) -> str:
        return f"{self.name} ({self.method}{', ' if self.parameters else ''}{self.parameters})"


@dataclass(frozen=True)
class Layout:
    """One table; names are quoted."""

    oid: int
    table: str
    column: str
    kind: str  # of the column: vector or halfvec
    operator: str
    key: str
    key_type: str
    text: str | None
    indexes: tuple[Index, ...]
    dead: float  # share of its rows that were deleted and not cleaned up

    @property
    def serving(self) -> Index | None:
        """The index that callers' searches go by, or would if it were valid."""
        mine = [index for index in self.indexes if not index.ours and index.column == self.column]
        return max(mine, key=lambda index: (index.valid, -index.oid), default=None)

    def named(self, name: str) -> Index | None:
        return next((index for index in self.indexes if index.name == name), None)


def names_under(base: str, token: str) -> tuple[str, str]:
    """What the index that is built under ``token`` is called until it serves, and the present one
    once it does not."""
    mark = hashlib.sha256(token.encode()).hexdigest()[:8]
    stem = base.encode()[:_NAME_BYTES].decode(errors="ignore")
    return f"{stem}_vagus_new_{mark}", f"{stem}_vagus_old_{mark}"


_TABLE = """
SELECT c.oid, c.oid::regclass::text,
       coalesce(s.n_dead_tup::float8 / nullif(s.n_live_tup + s.n_dead_tup, 0), 0)
FROM pg_class c LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.oid = to_regclass(%s) AND c.relkind IN ('r', 'p', 'm')"""

_COLUMNS = """
SELECT quote_ident(a.attname), t.typname, format_type(a.atttypid, NULL),
       coalesce(k.indisprimary, false)
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_index k ON k.indrelid = a.attrelid AND k.indisprimary AND k.indnkeyatts = 1
  AND k.indkey[0] = a.attnum
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""

_INDEXES = """
SELECT i.indexrelid, c.relname, n.nspname, m.amname, i.indisvalid, o.opcname,
       quote_ident(a.attname), pg_get_indexdef(i.indexrelid),
       coalesce(array_to_string(c.reloptions, ', '), '')
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_am m ON m.oid = c.relam
JOIN pg_opclass o ON o.oid = i.indclass[0]
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = %s AND m.amname IN ('hnsw', 'ivfflat')
  AND i.indpred IS NULL AND i.indexprs IS NULL ORDER BY i.indexrelid"""


async def read_layout(connection: AsyncConnection, collection: str) -> Layout:
    """The table called ``collection``. Raises MalformedData if it is none, or holds no vectors."""
    found = await (await connection.execute(_TABLE, (collection,))).fetchone()
    if found is None:
        raise MalformedData(
            "there is no such table",
            where=collection,
            mend="name tables in 'collections', with their schema if it is not in the search path",
        )
    oid, table, dead = found
    columns = await (await connection.execute(_COLUMNS, (oid,))).fetchall()
    rows = await (await connection.execute(_INDEXES, (oid,))).fetchall()
    indexes = tuple(index for row in rows if (index := _index(row)) is not None)
    vectors = {name: kind for name, kind, _, _ in columns if kind in ("vector", "halfvec")}
    if not vectors:
        raise MalformedData("it has no column of vectors", where=collection)
    indexed = [index for index in indexes if index.column in vectors]
    column = indexed[0].column if indexed else next(iter(vectors))
    keys = [(name, kind) for name, _, kind, primary in columns if primary]
    texts = [name for name, kind, _, _ in columns if kind in ("text", "varchar")]
    return Layout(
        oid=oid,
        table=table,
        column=column,
        kind=vectors[column],
        operator=indexed[0].operator if indexed else _OPERATORS["cosine"],
        key=keys[0][0] if keys else "ctid",
        key_type=keys[0][1] if keys else "tid",
        text=texts[0] if texts else None,
        indexes=indexes,
        dead=dead,
    )


def _index(row: Sequence[object]) -> Index | None:
    oid, name, schema, method, valid, opclass, column, definition, parameters = row
    space = next((o for o in _OPERATORS if f"_{o}_" in f"_{opclass}_"), None)
    if space is None:  # of bits: no distance that we know
        return None
    _, using, rest = str(definition).partition(f" USING {method} (")
    return Index(
        oid=int(str(oid)),
        name=str(name),
        schema=str(schema),
        method=str(method),
        valid=bool(valid),
        operator=_OPERATORS[space],
        column=str(column),
        body=(using + rest).strip(),
        parameters=str(parameters),
    )
