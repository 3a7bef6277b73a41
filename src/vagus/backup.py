"""The state in one file, and back.

A backup is a tar archive of both databases, ours and that of the workflows, with a manifest that
has their checksums. It is taken with SQLite's own backup, so Vagus may run meanwhile.

**The order matters.** Two files can't be copied at one instant. The workflows are copied first, so
ours is never the older one: what a workflow remembers as done, our tables know of. The other way
round is what a crash between a step and its checkpoint leaves behind, which every step bears.

**The world has gone on since.** An intent that was written and not begun when the backup was taken
may have been carried out afterwards. So in a restored state nothing counts as not begun: its effect
is looked for, and it is never repeated. Proposals that waited, or whose yes could still have been
used, are void. What was replaced is moved aside, not deleted; that a state was restored stands in
its ledger.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import update

from vagus import __version__
from vagus.clock import Clock
from vagus.durable import SQLITE, beside, claim
from vagus.errors import StateError
from vagus.model import IntentState, ProposalState
from vagus.state import tables
from vagus.state.db import MIGRATIONS, Database, open_database
from vagus.state.ledger import Ledger

FORMAT = 1
SCHEMA = 1 + len(MIGRATIONS)
MANIFEST, STATE, WORKFLOWS = "manifest.json", "state.db", "workflows.db"
_CHUNK = 1 << 20
_NOTE = "the state was restored from a backup"


class Manifest(BaseModel):
    """What a backup says of itself."""

    model_config = ConfigDict(frozen=True, strict=True)

    format: int
    vagus: str
    schema_version: int
    created_at: float
    head: str  # of the ledger
    sha256: dict[str, str]  # of each file in it


@dataclass(frozen=True, slots=True)
class Restored:
    manifest: Manifest
    replaced: tuple[Path, ...]  # where that is now what was there before


def back_up(state_url: str, target: Path, clock: Clock) -> Manifest:
    """Copy the state to the new file ``target``. Raises StateError; nothing is left behind then."""
    state = _file_of(state_url)
    if not state.exists():
        raise StateError("no state yet", where=str(state), mend="it is made by: vagus run")
    if target.exists():
        raise StateError("is there already", where=str(target), mend="name a new file")
    with _explained(target), TemporaryDirectory(prefix=".vagus-", dir=target.parent) as folder:
        copies = {}
        if beside(state).exists():  # first: see above
            copies[WORKFLOWS] = _copied(beside(state), Path(folder) / WORKFLOWS)
        copies[STATE] = _copied(state, Path(folder) / STATE)
        with closing(open_database(f"{SQLITE}{copies[STATE]}", clock)) as database:
            head = Ledger(database).head()
        _fold(copies[STATE])
        manifest = Manifest(
            format=FORMAT,
            vagus=__version__,
            schema_version=SCHEMA,
            created_at=clock.now(),
            head=str(head),
            sha256={name: _digest(path) for name, path in copies.items()},
        )
        packed = Path(folder) / "packed"
        _pack(packed, manifest, copies)
        os.link(packed, target)  # fails if somebody was faster
        _sync(target.parent)
    return manifest


def restore(state_url: str, source: Path, clock: Clock) -> Restored:
    """Put the state from ``source`` where ``state_url`` says; what is there is moved aside.

    Raises StateError, with everything as it was, while Vagus runs on that state and for a backup
    that is damaged, or from a newer version.
    """
    state = _file_of(state_url)
    with (
        closing(claim(state_url)),
        _explained(source),
        TemporaryDirectory(prefix=".vagus-", dir=state.parent) as folder,
    ):
        manifest = _unpack(source, Path(folder))
        fresh = Path(folder) / STATE
        with closing(open_database(f"{SQLITE}{fresh}", clock)) as database:
            _settle(database, manifest, source)
        _fold(fresh)
        stamp = datetime.fromtimestamp(clock.now(), UTC).strftime("%Y%m%dT%H%M%SZ")
        replaced = _moved_aside((state, beside(state)), stamp)
        for name, place in ((WORKFLOWS, beside(state)), (STATE, state)):
            if name in manifest.sha256:
                (Path(folder) / name).replace(place)
        _sync(state.parent)
    return Restored(manifest, replaced)


def _file_of(state_url: str) -> Path:
    if not state_url.startswith(SQLITE):
        raise StateError(
            "only a state in a file is backed up by Vagus itself",
            where="state",
            mend="use pg_dump and pg_restore, with the schema vagus_workflows too",
        )
    return Path(state_url.removeprefix(SQLITE))


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    """What the disk and SQLite complain about, as one line."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StateError(f"can't be copied: {error}", where=str(place)) from error


# --- databases ------------------------------------------------------------------------------------


def _copied(source: Path, target: Path) -> Path:
    """One moment of ``source``, whoever writes to it meanwhile; one file, without a log beside."""
    with (
        closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=rw", uri=True)) as read,
        closing(sqlite3.connect(target)) as written,
    ):
        read.backup(written)
    _fold(target)
    return target


def _fold(database: Path) -> None:
    """Put what stands in its log into the file itself."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _settle(database: Database, manifest: Manifest, source: Path) -> None:
    """Make of a state as it was one that may go on now."""
    intents, proposals = tables.intents, tables.proposals
    now = database.clock.now()
    with database.write() as connection:
        begun = connection.execute(
            update(intents)
            .where(intents.c.state == IntentState.WRITTEN.value)
            .values(state=IntentState.ACTING.value, acted_at=intents.c.created_at, note=_NOTE)
        )
        undecided = proposals.c.state.in_([ProposalState.OPEN, ProposalState.APPROVED])
        void = connection.execute(
            update(proposals)
            .where(undecided, proposals.c.expires_at > manifest.created_at)
            .values(state=ProposalState.VOID.value, decided_at=now, note=_NOTE)
        )
        facts = {
            "note": f"{_NOTE} of {_shown(manifest.created_at)}",
            "file": source.name,
            "head": manifest.head,
            "intents": begun.rowcount,
            "proposals": void.rowcount,
        }
        Ledger(database).append("vagus", f"restore:{now:.6f}", "restored", facts)


def _moved_aside(databases: Sequence[Path], stamp: str) -> tuple[Path, ...]:
    """Move databases away with their logs: the log first, since one that stayed behind would be
    taken for that of the new file."""
    moves = {
        database.with_name(database.name + suffix): database.with_name(
            f"{database.name}.replaced-{stamp}{suffix}"
        )
        for database in databases
        for suffix in ("-shm", "-wal", "")
        if database.with_name(database.name + suffix).exists()
    }
    for away in moves.values():
        if away.exists():
            raise StateError("is there already", where=str(away), mend="move it away")
    return tuple(there.rename(away) for there, away in moves.items())


# --- the archive ----------------------------------------------------------------------------------


def _pack(path: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # hashes of tokens
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            text = manifest.model_dump_json(indent=1).encode()
            entry = tarfile.TarInfo(MANIFEST)
            entry.size, entry.mtime = len(text), int(manifest.created_at)
            archive.addfile(entry, io.BytesIO(text))
            for name, source in files.items():
                archive.add(source, arcname=name, recursive=False)
        file.flush()
        os.fsync(file.fileno())


def _unpack(source: Path, folder: Path) -> Manifest:
    """The files of a backup into ``folder``, once they are what the manifest says."""
    try:
        with tarfile.open(source) as archive:
            manifest = _manifest(_member(archive, MANIFEST, source).read(), source)
            for name in (STATE, WORKFLOWS):
                if name in manifest.sha256:
                    _write(folder / name, _member(archive, name, source))
                    if _digest(folder / name) != manifest.sha256[name]:
                        raise _not_a_backup(source, f"{name} is not what was written")
    except tarfile.TarError as error:
        raise _not_a_backup(source, str(error)) from error
    return manifest


def _manifest(text: bytes, source: Path) -> Manifest:
    try:
        told = json.loads(text)
        newer = isinstance(told, dict) and told.get("format", 0) > FORMAT
        manifest = None if newer else Manifest.model_validate(told)
    except (ValueError, TypeError, ValidationError) as error:
        raise _not_a_backup(source, "its manifest can't be read") from error
    if manifest is None or manifest.schema_version > SCHEMA:
        raise StateError(
            "was made by a newer version of Vagus", where=str(source), mend="upgrade Vagus"
        )
    if STATE not in manifest.sha256:
        raise _not_a_backup(source, "there is no state in it")
    return manifest


def _member(archive: tarfile.TarFile, name: str, source: Path) -> IO[bytes]:
    try:
        found = archive.extractfile(name)
    except KeyError:
        found = None
    if found is None:
        raise _not_a_backup(source, f"there is no {name} in it")
    return found


def _not_a_backup(source: Path, what: str) -> StateError:
    return StateError(
        f"is not a backup that can be trusted: {what}",
        where=str(source),
        mend="use another one; nothing was changed",
    )


def _write(path: Path, source: IO[bytes]) -> None:
    with path.open("xb") as file:
        while chunk := source.read(_CHUNK):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """What was renamed into ``folder`` stays there if the power goes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _shown(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
