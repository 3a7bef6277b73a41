"""Who leads, on either database: one at a time, and nobody by mistake."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import update

from vagus.api.standby import serve_standby
from vagus.clock import ManualClock
from vagus.config import ApiSettings
from vagus.errors import LeaseLost, StateError, StateUnavailable, VagusError
from vagus.leadership import TTL, FileClaim, Leadership, leading, only_while_leading, own_name
from vagus.state import tables
from vagus.state.db import Database, is_shared, open_database
from vagus.state.leader import Leader, Term
from vagus.state.ledger import Ledger
from vagus.testing.postgres import Server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'vagus.db'}"
    server: Server = request.getfixturevalue("postgres")
    return server.empty_state()


@pytest.fixture
def database(url: str, clock: ManualClock) -> Iterator[Database]:
    database = open_database(url, clock)
    yield database
    database.close()


@pytest.fixture
def leader(database: Database) -> Leader:
    return Leader(database)


@pytest.fixture
def pass_time(url: str, database: Database, clock: ManualClock) -> Callable[[float], None]:
    """Nobody can move a server's clock: there, the end of the term comes nearer instead."""

    def pass_time(seconds: float) -> None:
        clock.advance(seconds)
        if is_shared(url):
            row = tables.leader
            with database.brief() as connection:
                connection.execute(update(row).values(expires_at=row.c.expires_at - seconds))

    return pass_time


PassTime = Callable[[float], None]
LONG = 1000.0  # s, so that no term ends because the machine is slow


def test_one_leads_and_its_number_grows_with_every_term(
    leader: Leader, pass_time: PassTime
) -> None:
    assert leader.current() is None
    first = leader.take("a", LONG)
    assert first == Term("a", 1)
    assert leader.take("b", LONG) is None
    assert leader.take("a", LONG) is None  # not even itself: its term is known to somebody
    pass_time(LONG)
    second = leader.take("b", LONG)
    assert second == Term("b", 2)
    current = leader.current()
    assert current is not None
    assert current[0] == second
    assert 0 < current[1] <= LONG


def test_a_term_that_is_renewed_holds(leader: Leader, pass_time: PassTime) -> None:
    term = leader.take("a", LONG)
    assert term is not None
    pass_time(LONG - 100)
    assert leader.renew(term, LONG)
    pass_time(LONG - 100)
    assert leader.take("b", LONG) is None


def test_a_term_that_ran_out_goes_on_unless_another_began(
    leader: Leader, pass_time: PassTime
) -> None:
    """As when the database was away: nobody could have taken over."""
    term = leader.take("a", LONG)
    assert term is not None
    pass_time(LONG + 1)
    assert leader.renew(term, LONG)
    assert leader.take("b", LONG) is None
    pass_time(LONG + 1)
    assert leader.take("b", LONG) == Term("b", 2)
    assert not leader.renew(term, LONG)


def test_who_resigns_is_succeeded_at_once_and_only_resigns_its_own_term(leader: Leader) -> None:
    term = leader.take("a", LONG)
    assert term is not None
    leader.resign(term)
    second = leader.take("b", LONG)
    assert second == Term("b", 2)
    leader.resign(term)
    assert leader.take("c", LONG) is None


def test_of_many_that_try_at_once_one_leads(url: str, clock: ManualClock) -> None:
    databases = [open_database(url, clock) for _ in range(4)]
    barrier, terms = threading.Barrier(4), []

    def run(number: int) -> None:
        barrier.wait()
        terms.append(Leader(databases[number]).take(f"p{number}", LONG))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    assert sum(term is not None for term in terms) == 1


# --- what a process makes of it -------------------------------------------------------------------


@pytest.fixture
def lost() -> list[LeaseLost]:
    return []


@pytest.fixture
def leadership(leader: Leader, clock: ManualClock, lost: list[LeaseLost]) -> Iterator[Leadership]:
    term = leader.take("a", TTL)
    assert term is not None
    leadership = Leadership(leader, term, clock, clock.monotonic(), lost.append)
    yield leadership
    leadership.resign()


def test_a_ghost_writes_nothing(
    leader: Leader,
    database: Database,
    leadership: Leadership,
    lost: list[LeaseLost],
    url: str,
    clock: ManualClock,
) -> None:
    """Another has led meanwhile; the ghost is told in the transaction in which it would write."""
    database.fence = leadership.check
    ledger = Ledger(database)
    ledger.append("w", "1", "said")
    other = open_database(url, clock)
    with other.write() as connection:
        connection.execute(update(tables.leader).values(owner="b", fencing=2))
    with pytest.raises(LeaseLost, match="another process leads now"):
        ledger.append("w", "2", "said")
    assert ledger.head().seq == 1
    assert lost
    assert lost[0].exit_code == 4
    other.close()


def test_an_hour_in_which_nothing_was_renewed_leaves_the_lead_in_doubt(
    leadership: Leadership, clock: ManualClock
) -> None:
    leadership.require()
    clock.advance(TTL)
    with pytest.raises(StateUnavailable, match="not known"):
        leadership.require()


async def test_what_touches_the_world_is_not_begun_in_doubt(
    leadership: Leadership, clock: ManualClock
) -> None:
    done = []

    async def act() -> str:
        done.append("acted")
        return "done"

    assert await only_while_leading(leadership, act()) == "done"
    clock.advance(TTL)
    with pytest.raises(StateUnavailable):
        await only_while_leading(leadership, act())
    assert done == ["acted"]


async def test_who_has_resigned_does_nothing_more(leadership: Leadership) -> None:
    leadership.resign()
    with pytest.raises(StateUnavailable):
        leadership.require()


async def test_a_file_belongs_to_one_process(tmp_path: Path, clock: ManualClock) -> None:
    url = f"sqlite:///{tmp_path / 'vagus.db'}"
    api = ApiSettings(port=0)
    async with leading(url, clock, api) as lead:
        assert isinstance(lead, FileClaim)
        lead.require()
        with pytest.raises(StateError, match="another vagus run"):
            async with leading(url, clock, api):
                pass
    async with leading(url, clock, api):
        pass


def test_no_two_processes_have_the_same_name() -> None:
    assert own_name() != own_name()


# --- what a standby says --------------------------------------------------------------------------


async def test_a_standby_lives_and_sends_everybody_to_the_leader(free_port: int) -> None:
    api = ApiSettings(port=free_port)
    address = f"http://{api.host}:{free_port}"
    async with serve_standby(api, lambda: "host-1-abc"), aiohttp.ClientSession() as session:
        async with session.get(f"{address}/healthz") as answer:
            assert answer.status == 200
            assert (await answer.json())["role"] == "standby"
        async with session.post(f"{address}/v1/proposals/x/answers", json={}) as answer:
            assert answer.status == 503
            assert answer.content_type == "application/problem+json"
            assert "host-1-abc leads" in (await answer.json())["detail"]
        with pytest.raises(VagusError, match=r"set api\.port"):
            async with serve_standby(api, lambda: ""):
                pass


@pytest.fixture
def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port
