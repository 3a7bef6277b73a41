"""DBOS, configured: where the program counters of the healing workflows are kept.

They live beside our own tables (``vagus.db`` -> ``vagus.workflows.db``), not among them: our write
transactions lock the whole of an SQLite file, and a workflow must not wait for a guard. What DBOS
leaves to us is settled here: write-ahead logging (several times faster than its default), a fixed
application version (else an upgrade strands what waits) and a fixed executor id, which is right
because :func:`claim` lets only one process work on a state.
"""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig

from vagus.errors import StateError
from vagus.healing import VERSION

SQLITE = "sqlite:///"


def claim(state_url: str) -> IO[str]:
    """Hold the state for this process until the returned file is closed, or the process ends in
    whatever way. Raises StateError naming the process that holds it."""
    path = Path(state_url.removeprefix(SQLITE) + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a+", encoding="ascii")
    except OSError as error:
        raise StateError(
            f"can't be opened: {error.strerror}",
            where=str(path),
            mend="let this user write there, or set 'state' to another place",
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise StateError(
            f"another vagus run (pid {holder}) works on this state",
            where=state_url,
            mend="stop it, or set 'state' to another place",
        ) from error
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def launch(state_url: str) -> None:
    """Open DBOS and let it go on with every workflow that was not finished.

    Whatever holds workflows (the :class:`~vagus.healing.Healer`) must exist before.
    """
    url = _beside(state_url)
    engine = sa.create_engine(url, connect_args={"timeout": 10})

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # A step whose record is lost with the power runs again, and every step bears that; what
        # must not be lost are the intents, and those are written with synchronous=FULL.
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    config: DBOSConfig = {
        "name": "vagus",
        "system_database_url": url,
        "system_database_engine": engine,
        "application_version": VERSION,
        "executor_id": "vagus",
        "log_level": "ERROR",
        "console_log_level": "ERROR",
        "max_executor_threads": 64,
    }
    DBOS(config=config)
    DBOS.launch()


def close() -> None:
    """Stop at once; what is unfinished goes on at the next launch.

    A workflow that is caught in the middle complains that its database is gone. It is meant to be.
    """
    logging.getLogger("dbos").setLevel(logging.CRITICAL)
    DBOS.destroy(workflow_completion_timeout_sec=0)


def _beside(state_url: str) -> str:
    path = Path(state_url.removeprefix(SQLITE))
    return SQLITE + str(path.with_name(path.stem + ".workflows" + path.suffix))
