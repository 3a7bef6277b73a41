"""What ``vagus golden`` does; the parsing is in :mod:`vagus.cli.golden`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import typer
import yaml

from vagus.config import Settings, load
from vagus.errors import ConfigError
from vagus.golden import GoldenQuery, add_golden, load_golden
from vagus.model import Subject


def add_one(
    config: Path, collection: str, query: str, expect: Sequence[str], *, as_json: bool
) -> None:
    settings = load(config)
    _require(settings, collection)
    _add(
        settings,
        [GoldenQuery(collection=collection, query=query, expect=tuple(expect))],
        as_json=as_json,
    )


def import_file(config: Path, file: Path, *, as_json: bool) -> None:
    settings = load(config)
    if not file.exists():
        raise ConfigError("no such file", where=str(file))
    queries = load_golden(file)
    for query in queries:
        _require(settings, query.collection)
    _add(settings, queries, as_json=as_json)


def suggest_some(config: Path, collection: str, count: int, *, as_json: bool) -> None:
    from vagus.outside import suggest_golden

    settings = load(config)
    subject = _require(settings, collection)
    found = asyncio.run(suggest_golden(settings, subject, count))
    rows = [{"collection": collection, "query": text, "expect": list(ids)} for text, ids in found]
    if as_json:
        typer.echo(json.dumps({"queries": rows}))
    else:
        typer.echo(yaml.safe_dump({"queries": rows}, sort_keys=False, allow_unicode=True), nl=False)


def _add(settings: Settings, queries: Sequence[GoldenQuery], *, as_json: bool) -> None:
    path = settings.retrieval.golden
    added = add_golden(path, queries)
    if as_json:
        typer.echo(json.dumps({"added": added, "file": str(path)}))
    else:
        typer.echo(f"{added} added to {path}")


def _require(settings: Settings, collection: str) -> Subject:
    subject = Subject.parse(collection)
    spec = settings.stack.get(subject.component)
    if spec is None or subject.replica not in spec.collections:
        known = [f"{name}/{c}" for name, s in settings.stack.items() for c in s.collections]
        raise ConfigError(
            f"{collection!r} is no collection of the stack",
            mend=f"there are: {', '.join(known) or 'none'}",
        )
    if spec.embedded_by is None:
        raise ConfigError(
            f"nobody is named who embeds queries for {subject.component}",
            mend="name the embedding-server under 'embedded_by'",
        )
    return subject
