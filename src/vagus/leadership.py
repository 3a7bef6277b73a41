"""One process works on a state; where several may, one leads and the others stand by.

A state in a file belongs to whoever locks it (:func:`vagus.durable.claim`), until that process
ends. A state on a server is shared: the processes elect a leader by a row in it, which holds for
:data:`TTL` and is renewed every second. A standby senses nothing and heals nothing; it waits for
the row to run out, answers on the API's port that it waits, and then starts as if it had just been
called. So a new leader has no stale opinions, and there is one way to start.

What a leader that has lost the lead must not do is act. Three things see to it:

- every write of it is refused, because its term is checked within each write transaction
  (:meth:`Leadership.check`), and the process ends there and then;
- nothing is done to the world unless the last renewal is younger than its term
  (:meth:`Leadership.require`), by this machine's monotonic clock, which counts on while a process
  is stopped: one that wakes up too late is refused, whatever it was about to do;
- the thread that renews ends the process as soon as it is told that another leads.

A database that is gone is another matter. Then nobody can lead, nothing is done, and whoever led
goes on when it is back, unless another was faster.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from typing import Any, NoReturn, TypeVar

import structlog
from sqlalchemy import Connection

from vagus import durable, service
from vagus.api.standby import serve_standby
from vagus.clock import Clock
from vagus.config import ApiSettings
from vagus.errors import LeaseLost, StateError, StateUnavailable
from vagus.state.db import Database, is_shared, open_database
from vagus.state.leader import Leader, Term

log = structlog.get_logger()

T = TypeVar("T")

TTL = 3.0  # s that a term holds without being renewed
RENEW_EVERY = 1.0  # s
LOOK_EVERY = 0.25  # s between two looks of a standby


class Leadership:
    """A term that this process began, kept up by a thread until :meth:`resign`."""

    def __init__(
        self,
        leader: Leader,
        term: Term,
        clock: Clock,
        began_at: float,
        on_lost: Callable[[LeaseLost], None],
    ) -> None:
        """``began_at``: a monotonic reading from before the term was asked for."""
        self.term = term
        self._leader = leader
        self._clock = clock
        self._on_lost = on_lost
        self._holds_until = began_at + TTL
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, name="leadership", daemon=True)
        self._thread.start()

    def check(self, connection: Connection) -> None:
        """The fence of a database: refuses what a former leader would write."""
        if not self._leader.stands(self.term, connection):
            self._lose()

    def require(self) -> None:
        """Raises StateUnavailable unless this process surely leads at this moment."""
        if self._ended.is_set() or self._clock.monotonic() >= self._holds_until:
            raise StateUnavailable(
                "whether this process still leads is not known",
                mend="nothing is done until the state answers",
            )

    def resign(self) -> None:
        """Hand over at once. What this process still tries to do is refused from here on."""
        self._ended.set()
        self._thread.join()
        try:
            self._leader.resign(self.term)
        except StateError as error:
            log.warning("leadership.not_handed_over", error=str(error))

    def _keep_up(self) -> None:
        while not self._ended.wait(RENEW_EVERY):
            asked_at = self._clock.monotonic()
            try:
                renewed = self._leader.renew(self.term, TTL)
            except StateUnavailable as error:
                log.warning("leadership.not_renewed", error=str(error))
                continue
            if not renewed:
                self._lose()
                return
            self._holds_until = asked_at + TTL

    def _lose(self) -> None:
        self._ended.set()
        error = LeaseLost(
            f"{self.term.owner} does not lead any more: another process leads now",
            mend="start it again: it will stand by",
        )
        self._on_lost(error)
        raise error


class FileClaim:
    """A state that nobody else can work on needs no proof."""

    term = Term("vagus", 0)

    def check(self, connection: Connection) -> None:
        """It is ours until this process ends."""

    def require(self) -> None:
        """As above."""


Lead = Leadership | FileClaim


async def only_while_leading(lead: Lead, work: Coroutine[Any, Any, T]) -> T:
    """``work``, which touches the world, unless the lead is in doubt when its turn comes. Asked
    here, on the event loop, because between a thread that asks and the loop that does it a process
    may be stopped for any time."""
    try:
        lead.require()
    except StateUnavailable:
        work.close()
        raise
    return await work


@asynccontextmanager
async def leading(state_url: str, clock: Clock, api: ApiSettings) -> AsyncIterator[Lead]:
    """Entered once this process may work on the state; in the end it is free for others at once.

    Raises StateError if the state can't be used, or is a file on which another process works.
    """
    if not is_shared(state_url):
        with durable.claim(state_url):
            yield FileClaim()
        return
    with closing(open_database(state_url, clock)) as database:
        leadership = await _elected(database, clock, api)
        try:
            yield leadership
        finally:
            await asyncio.to_thread(leadership.resign)


async def _elected(database: Database, clock: Clock, api: ApiSettings) -> Leadership:
    leader, me = Leader(database), own_name()
    first = await asyncio.to_thread(_try, leader, me, clock)
    if first is not None:
        return first
    async with serve_standby(api, lambda: _leader_name(leader)):
        log.info("leadership.stands_by", name=me, leader=_leader_name(leader))
        while True:
            await clock.sleep(LOOK_EVERY)
            service.tell(service.READY, service.ALIVE, service.status("stands by"))
            try:
                elected = await asyncio.to_thread(_try, leader, me, clock)
            except StateUnavailable as error:
                log.warning("leadership.no_state", error=str(error))
                continue
            if elected is not None:
                log.info("leadership.leads", name=me, fencing=elected.term.fencing)
                return elected


def _try(leader: Leader, me: str, clock: Clock) -> Leadership | None:
    current = leader.current()
    if current is not None and current[1] > 0:
        return None  # without having waited for the write lock
    asked_at = clock.monotonic()
    term = leader.take(me, TTL)
    return None if term is None else Leadership(leader, term, clock, asked_at, end_the_process)


def _leader_name(leader: Leader) -> str:
    try:
        current = leader.current()
    except StateError:
        return "unknown"
    return "nobody" if current is None or current[1] <= 0 else current[0].owner


def own_name() -> str:
    """Never the same twice, and it tells people where to look."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def end_the_process(error: LeaseLost) -> NoReturn:
    """At once, with all threads, wherever they are: no clean-up of theirs may touch anything."""
    sys.stderr.write(f"error: {error}\n")
    sys.stderr.flush()
    os._exit(error.exit_code)
