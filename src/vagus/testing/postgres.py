"""A Postgres server for tests: real, private, and gone with whoever started it.

The programs come with the lab's package. The server listens on a socket in its own folder and on no
port, so any number of them run side by side, and it is stopped, started and killed by tests that
ask what happens then. ``fsync`` is off: the machine does not lose power in a test.

A watchdog process ends it if the tests are killed with SIGKILL.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from vagus.clock import SystemClock
from vagus.lab import postgres
from vagus.lab.settings import LabSettings
from vagus.state.db import open_database
from vagus.state.tables import meta, metadata

ROLE = "vagus"
PATIENCE_S = 60.0
_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "shared_buffers": "16MB",
    "max_connections": "100",
}


class Server:
    """A cluster in a folder of its own, and the server on it while it runs."""

    def __init__(self) -> None:
        # Short, because the path of a socket may have 107 bytes; not in the home, because the user
        # that Postgres runs as instead of root must get there.
        self._folder = Path(tempfile.mkdtemp(prefix="vagus-pg-", dir="/tmp"))
        self._folder.chmod(0o711)
        self._settings = LabSettings(run_dir=self._folder)
        self._password = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._state: str | None = None
        postgres.prepare(self._settings)
        postgres.make_cluster(self._settings, ROLE, self._password)
        self._sockets = self._folder / "s"
        self._sockets.mkdir(mode=0o777)
        self._sockets.chmod(0o777)
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{ROLE}:{self._password}@/{database}?host={self._sockets}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        self._count += 1
        name = f"test_{self._count}"
        self.do(f"CREATE DATABASE {name} TEMPLATE template0")
        return self.url(name)

    def new_state(self) -> str:
        """The URL of a state that nobody else uses."""
        url = self.new_database()
        open_database(url, SystemClock()).close()
        return url

    def empty_state(self) -> str:
        """The URL of a state without a row in it, always the same: much quicker than a new one."""
        if self._state is None:
            self._state = self.new_state()
        tables = [t.name for t in metadata.sorted_tables if t is not meta]
        with psycopg.connect(self._state, autocommit=True) as connection:
            for table in reversed(tables):
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
        return self._state

    def do(self, statement: str) -> None:
        """Run ``statement`` as the superuser, outside of any transaction."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def start(self) -> None:
        """Returns when it answers."""
        user = postgres.run_as()
        options = {**_OPTIONS, "unix_socket_directories": str(self._sockets)}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [
                    *(str(postgres.programs(self._settings) / "postgres"), "-D"),
                    str(self._settings.postgres_dir),
                    *(part for k, v in options.items() for part in ("-c", f"{k}={v}")),
                ],
                stdout=log,
                stderr=log,
                cwd="/",
                user=user,
                group=user,
                extra_groups=[] if user else None,
                start_new_session=True,
            )
        self._guard = _watch(self._process.pid)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: sessions are cut off; SIGQUIT: as if it had crashed."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE_S)
            group, self._process = self._process.pid, None
            self._guard.communicate(b"-%d\n" % group, timeout=PATIENCE_S)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)


def _watch(group: int) -> subprocess.Popen[bytes]:
    """A process that ends ``group`` when the pipe to it, which we hold, ends without a word."""
    guard = subprocess.Popen(
        [sys.executable, "-m", "vagus.lab.watchdog"], stdin=subprocess.PIPE, start_new_session=True
    )
    assert guard.stdin is not None
    guard.stdin.write(b"+%d %d\n" % (group, signal.SIGINT))
    guard.stdin.flush()
    return guard


@contextmanager
def running() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.remove()
