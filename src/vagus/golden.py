"""Golden queries: questions whose answers are known, in a file that people keep.

::

    queries:
      - collection: vectors/passages
        query: What does assert do in Python?
        expect: ["17"]               # documents, by key; one of them among the nearest is enough

They tell what no comparison of two searches can: that the right document is not there any more, or
that queries are embedded otherwise than documents are. The file stands beside ``vagus.yaml`` and is
read again when it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import structlog
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vagus._mistakes import first_mistake
from vagus._yaml import load_located
from vagus.errors import ConfigError
from vagus.model import Subject

log = structlog.get_logger()


class GoldenQuery(BaseModel):
    """One question, and the documents of which one must be found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    collection: str = Field(pattern=r"^[^/\s]+/\S+$", description="component/collection")
    query: str = Field(min_length=1, max_length=2000)
    expect: tuple[str, ...] = Field(min_length=1, description="keys of documents")

    @property
    def subject(self) -> Subject:
        return Subject.parse(self.collection)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    queries: tuple[GoldenQuery, ...] = ()


def load_golden(path: Path) -> tuple[GoldenQuery, ...]:
    """What the file holds; nothing if there is none. Raises ConfigError with the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't be read: {error}", where=str(path)) from error
    document = load_located(text, name=str(path))
    try:
        return _File.model_validate(document.value or {}).queries
    except ValidationError as error:
        raise first_mistake(error, _File, document, str(path)) from error


def add_golden(path: Path, queries: Iterable[GoldenQuery]) -> int:
    """Add those that the file does not hold yet, and say how many. A question that is there with
    other documents gets the new ones. The file is exchanged as a whole, or stays as it was."""
    known = {(q.collection, q.query): q for q in load_golden(path)}
    before = dict(known)
    for query in queries:
        known[query.collection, query.query] = query
    changed = sum(before.get(key) != query for key, query in known.items())
    if changed:
        _write(path, list(known.values()))
    return changed


def _write(path: Path, queries: Sequence[GoldenQuery]) -> None:
    rows = [
        {"collection": q.collection, "query": q.query, "expect": list(q.expect)} for q in queries
    ]
    text = yaml.safe_dump({"queries": rows}, sort_keys=False, allow_unicode=True, width=100)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


class GoldenFile:
    """The queries of a file as it is now. One that can't be read is told once, and what was read
    before goes on being asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._queries: tuple[GoldenQuery, ...] = ()

    def of(self, subject: Subject) -> Sequence[tuple[str, tuple[str, ...]]]:
        """Text and expected documents of each query of a collection."""
        self._refresh()
        return [(q.query, q.expect) for q in self._queries if q.subject == subject]

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
        except OSError:
            self._stamp, self._queries = None, ()
            return
        stamp = (found.st_mtime_ns, found.st_size)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._queries = load_golden(self._path)
        except ConfigError as error:
            log.warning("golden.not_read", error=str(error))
