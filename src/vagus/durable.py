"""DBOS, configured: where the program counters of the healing workflows are kept.

Beside our own tables, not among them. For a state in a file that is a second file (``vagus.db`` ->
``vagus.workflows.db``): our write transactions lock the whole of an SQLite file, and a workflow
must not wait for a guard. For a state in Postgres it is the schema :data:`SCHEMA` of the same
database.

What DBOS leaves to us is settled here: write-ahead logging (several times faster than its default),
a fixed application version (else an upgrade strands what waits), and what becomes of the workflows
of a process that died. DBOS resumes those of the same executor id, and knows nothing of others. A
file is worked on by one process at a time (:func:`claim`), so there the id is always the same. On
Postgres every process has its own, and a process that leads adopts what it finds under any other
id: at once, and every few seconds again, since one that lost the lead may have taken something from
the queue in its last moment.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, WorkflowStatus
from dbos._dbos import _get_dbos_instance

from vagus.errors import StateError
from vagus.healing import VERSION

SQLITE = "sqlite:///"
SCHEMA = "vagus_workflows"
THREADS = 256  # workflows at the same time, those that wait for people or in a sleep too
CONNECTIONS = 20
ADOPT_EVERY = 2.0  # s
MESSAGE_LOOK = 0.15  # s between two looks for a message: a yes is acted upon within half a second
QUEUE_LOOK = 0.2  # s between two looks for what was adopted; DBOS itself would take a second

_PASSING_SQLITE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
}
_PASSING_POSTGRES = ("08", "53", "57P", "25006", "25P03")  # gone, full, ending, read only, stopped

_closing = threading.Event()


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


def launch(state_url: str, executor: str = "vagus") -> None:
    """Open DBOS and let it go on with every workflow that was not finished.

    Whatever holds workflows (the :class:`~vagus.healing.Healer`) must exist before. ``executor``:
    the name under which this process leads. Raises StateError if this machine's SQLite is too old.
    """
    _closing.clear()
    shared = not state_url.startswith(SQLITE)
    url, engine = _on_a_server(state_url) if shared else _in_a_file(state_url)
    config: DBOSConfig = {
        "name": "vagus",
        "system_database_url": url,
        "system_database_engine": engine,
        "dbos_system_schema": SCHEMA,
        "application_version": VERSION,
        "executor_id": executor,
        "log_level": "ERROR",
        "console_log_level": "ERROR",
        "max_executor_threads": THREADS,
        "notification_listener_polling_interval_sec": MESSAGE_LOOK,
    }
    sa.event.listen(engine, "checkout", _refuse_when_closing)
    sa.event.listen(engine, "handle_error", _wait_out)
    DBOS(config=config)
    _quicken()
    DBOS.launch()
    if shared:
        threading.Thread(
            target=_keep_adopting, args=(executor,), name="adopting", daemon=True
        ).start()


def close() -> None:
    """Stop at once; what is unfinished goes on at the next launch, here or elsewhere.

    A workflow that is caught in the middle complains that its database is gone. It is meant to be:
    could it still reach it, it would write down its own interruption as its end.
    """
    logging.getLogger("dbos").setLevel(logging.CRITICAL)
    _closing.set()
    DBOS.destroy(workflow_completion_timeout_sec=0)


def ended(workflows: Collection[str]) -> Mapping[str, str]:
    """Of these workflows, by id: those that are over, or were begun by another version and will
    never go on, and how that came."""
    if not workflows:
        return {}
    known = DBOS.list_workflows(workflow_ids=list(workflows), load_input=False)
    return {w.workflow_id: why for w in known if (why := _why_over(w)) is not None}


def _why_over(workflow: WorkflowStatus) -> str | None:
    if workflow.status in ("ENQUEUED", "PENDING", "DELAYED"):
        stranded = workflow.app_version not in (None, VERSION)
        return f"it was begun as {workflow.app_version}, by another version" if stranded else None
    if workflow.error is not None:
        return f"{type(workflow.error).__name__}: {workflow.error}"
    return f"it ended without an end ({workflow.status})"


def promptly(wake: Callable[[str], None]) -> Callable[[str], None]:
    """``wake``, and whoever waits for that message in this process looks for it at once: DBOS would
    when it next asks the database, and on a busy machine that is felt."""

    def woken(proposal: str) -> None:
        wake(proposal)
        workflow = proposal.rsplit(":", 2)[0]
        state = _get_dbos_instance()._sys_db
        waiting = state.notifications_map.get(state._waiter(workflow, proposal)[0])
        if waiting is not None:
            waiting.set()

    return woken


def adopt(me: str) -> int:
    """Put the unfinished workflows of every other executor into the queue, and say how many.

    To be called by the leader only, so that all others are dead, or will find that they are.
    Idempotent: a workflow that somebody took from the queue is not put there again.
    """
    pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
    others = sorted({w.executor_id for w in pending if w.executor_id not in (None, me)})
    return len(DBOS._recover_pending_workflows([name for name in others if name is not None]))


def _keep_adopting(me: str) -> None:
    while not _closing.is_set():
        try:
            adopt(me)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next round tries again
            if not _closing.is_set():
                logging.getLogger("vagus").warning("workflows can't be adopted now: %s", error)
        _closing.wait(ADOPT_EVERY)


def _quicken() -> None:
    """Look for adopted workflows more often. DBOS has no setting for its own queue's pace."""
    from dbos._dbos import _get_or_create_dbos_registry

    _get_or_create_dbos_registry().get_internal_queue()._polling_interval_sec = QUEUE_LOOK


def _refuse_when_closing(*_of_the_pool: object) -> None:
    if _closing.is_set():
        raise StateError("the workflows' database is closed")


def beside(state: Path) -> Path:
    """The file of the workflows of the state in a file."""
    return state.with_name(state.stem + ".workflows" + state.suffix)


def _wait_out(context: sa.engine.ExceptionContext) -> None:
    """What may pass is to be waited out, as DBOS does with a connection that broke. It would take a
    full disk or a read-only database for the end, and leave the workflow with nobody to run it."""
    cause = context.original_exception
    if isinstance(cause, sqlite3.OperationalError):
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _PASSING_SQLITE:
            context.is_disconnect = True
    elif hasattr(cause, "sqlstate"):
        code = str(cause.sqlstate or "")
        unreachable = not code and isinstance(context.sqlalchemy_exception, sa.exc.OperationalError)
        if unreachable or code.startswith(_PASSING_POSTGRES):
            context.is_disconnect = True


def _in_a_file(state_url: str) -> tuple[str, sa.Engine]:
    _require_sqlite()
    url = SQLITE + str(beside(Path(state_url.removeprefix(SQLITE))))
    engine = sa.create_engine(url, connect_args={"timeout": 10})

    @sa.event.listens_for(engine, "connect")
    def _configure(connection: sa.engine.interfaces.DBAPIConnection, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        # A step whose record is lost with the power runs again, and every step bears that; what
        # must not be lost are the intents, and those are written with synchronous=FULL.
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    return url, engine


def _on_a_server(state_url: str) -> tuple[str, sa.Engine]:
    url = sa.make_url(state_url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 3,
            "tcp_user_timeout": 5000,
            "application_name": "vagus workflows",
        },
    )
    return url.render_as_string(hide_password=False), engine


def _require_sqlite() -> None:
    """From Python 3.12 on, DBOS asks SQLite for the time in words that it knows since 3.42."""
    if sys.version_info >= (3, 12) and sqlite3.sqlite_version_info < (3, 42):
        raise StateError(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} needs SQLite 3.42 or newer "
            f"here; this one has {sqlite3.sqlite_version}",
            mend="use Python 3.11, a newer SQLite, or a state in Postgres",
        )
