"""The state in Postgres: for several processes, on several machines.

**The write lock** is an advisory lock that ends with its transaction. The transaction is READ
COMMITTED on purpose: in a stricter one the statement that waits for the lock would also be the one
that fixes what is seen, and the judge would look at the database as it was before the one it waited
for had written. Reading transactions are REPEATABLE READ: those see one moment.

**Nobody holds the lock for long**, whatever becomes of them. A process that is stopped in the
middle of a transaction would keep it until it goes on; the server ends a session that idles within
a transaction, and its transaction with it. That a connection breaks is noticed within seconds too,
and one from the pool is tried before it is used: after a restart of the server the first call
works.

Sessions are set up by statements, so a pooler in front has to keep sessions whole.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from vagus.errors import MissingExtra, StateError, StateUnavailable

CONNECTIONS, MORE_CONNECTIONS = 8, 24  # kept; made besides when many threads come at once
WAIT_S = 10.0  # for one of them, or for whoever writes
CONNECT_S = 3  # until a server that doesn't answer counts as gone
SILENCE_MS = 5000  # until a connection whose other end doesn't acknowledge counts as broken
WRITE_LOCK = 0x76616775  # "vagu", as good a number as any: one for each database

_SESSION = (
    "SET idle_in_transaction_session_timeout = '4s'",
    f"SET lock_timeout = '{WAIT_S:.0f}s'",
    "SET statement_timeout = '30s'",
    "SET client_min_messages = warning",
)

_AWAY = (
    "is gone, or can't be reached",
    "look whether it runs, and at the address, user, password and database in 'state:'",
)
_PASSING = {
    "08": _AWAY,
    "57P": _AWAY,
    "25006": (
        "can't be written",
        "it is a standby, or set to read only; Vagus goes on by itself when that ends",
    ),
    "53100": ("the server's disk is full", "make room; Vagus goes on by itself"),
    "53300": ("has no connection left", "raise max_connections; Vagus takes up to 60"),
    "53": ("is short of something", "look at the server's log; Vagus goes on by itself"),
    "55P03": ("another process holds it", "look for a session that waits in a transaction"),
    "57014": ("did not answer in time", "look at what the server is busy with"),
    "25P03": ("ended a transaction that stood still", "was this process stopped for a while?"),
    "40": ("two transactions met", "Vagus goes on by itself"),
}
"""SQLSTATE, or the beginning of one: what to say and the mend. All of it may pass."""

_LASTING = {
    "XX001": "a page can't be read",
    "XX002": "an index can't be read",
}


class Postgres:
    begin_write = (
        "BEGIN ISOLATION LEVEL READ COMMITTED",
        f"SELECT pg_advisory_xact_lock({WRITE_LOCK})",
    )
    begin_read = ("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",)
    begin_brief = ("BEGIN ISOLATION LEVEL READ COMMITTED",)
    now = "extract(epoch FROM clock_timestamp())::float8"
    set_up = ()
    readers_write = False
    elsewhere = "name an empty database as 'state:'"

    def __init__(self, url: URL) -> None:
        """Raises MissingExtra without the driver. Connects to nothing yet."""
        self.place = shown(url)
        try:
            self.engine = create_engine(
                with_driver(url),
                isolation_level="AUTOCOMMIT",  # the statements that begin and end are ours
                pool_size=CONNECTIONS,
                max_overflow=MORE_CONNECTIONS,
                pool_timeout=WAIT_S,
                pool_pre_ping=True,
                connect_args=connect_args(),
            )
        except ModuleNotFoundError as error:
            raise MissingExtra("postgres", "psycopg") from error

        @event.listens_for(self.engine, "connect")
        def _on_connect(connection: Any, _record: object) -> None:
            for statement in _SESSION:
                connection.execute(statement)
            _bear_zeros(connection)

    def look(self, connection: Connection) -> None:
        """Nothing to do: damage is the server's to find."""

    def damaged(self, what: str) -> StateError:
        return StateError(
            f"is damaged and was left as it is: {what}",
            where=self.place,
            mend="restore a backup, or name another database as 'state:'",
        )

    def explained(self, error: SQLAlchemyError) -> StateError | None:
        cause = error.orig if isinstance(error, DBAPIError) else error
        code = str(getattr(cause, "sqlstate", None) or "")
        said = _first_line(cause)
        if code in _LASTING:
            return self.damaged(f"{_LASTING[code]}: {said}")
        if code == "42501":
            mend = "grant this user CREATE on the schema, or make a database that it owns"
            return StateError(f"doesn't let us: {said}", where=self.place, mend=mend)
        if isinstance(error, IntegrityError | ProgrammingError):
            return None
        passing = next((_PASSING[code[:n]] for n in (5, 3, 2) if code[:n] in _PASSING), None)
        if passing is None and code:
            mend = "look at the server's log"
            return StateError(f"failed ({code}): {said}", where=self.place, mend=mend)
        what, mend = passing or _AWAY  # a connection that can't be made has no code
        return StateUnavailable(f"{what}: {said}", where=self.place, mend=mend)


def _bear_zeros(connection: Any) -> None:
    """Postgres has no text with a zero byte in it, and some server that answers nonsense will send
    one, which then is quoted in a finding. Better a mark in its place than no finding."""
    from psycopg.types.string import StrDumper

    class Bearing(StrDumper):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\x00", "\ufffd"))

    connection.adapters.register_dumper(str, Bearing)


def with_driver(url: URL) -> URL:
    """``url`` with the driver that the extra brings, however the scheme was written."""
    return url.set(drivername="postgresql+psycopg")


def connect_args() -> dict[str, str | int]:
    """What every connection needs in order to notice that its other end is gone."""
    return {
        "connect_timeout": CONNECT_S,
        "keepalives_idle": 2,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENCE_MS,
        "application_name": "vagus",
    }


def shown(url: URL) -> str:
    """``url`` as it may be printed: without any password, wherever in it that is."""
    bare = url.set(
        query={k: v for k, v in url.query.items() if k not in ("password", "sslpassword")}
    )
    return bare.render_as_string(hide_password=True)


def _first_line(cause: BaseException | None) -> str:
    return (str(cause).strip().splitlines() or ["no reason given"])[0]
