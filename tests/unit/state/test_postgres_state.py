"""The state in Postgres: what is said when the server doesn't do what it should, and what follows.

Each trouble is real: a server that is stopped, a session that is cut off, a setting that forbids.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from vagus.clock import ManualClock
from vagus.errors import MissingExtra, StateError, StateUnavailable
from vagus.model import Cause, Finding, Sense, Subject, Symptom
from vagus.state.db import Database, open_database
from vagus.state.incidents import Incidents
from vagus.state.ledger import Ledger
from vagus.testing.postgres import Server


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.new_state()


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def password_of(url: str) -> str:
    return url.partition("vagus:")[2].partition("@")[0]


def cut_off(postgres: Server, url: str) -> None:
    """End every session on that database, as a restart of the server would."""
    postgres.do(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        f" WHERE datname = '{name_of(url)}' AND pid <> pg_backend_pid()"
    )


def test_no_error_and_no_description_shows_the_password(url: str, clock: ManualClock) -> None:
    secret = password_of(url)
    assert len(secret) > 20
    wrong = url.replace("vagus:" + secret, "vagus:" + "not-the-password")
    by_query = url.replace(f":{secret}@", "@") + "&password=not-the-password"
    for address in (wrong, by_query):
        with pytest.raises(StateError, match="authentication failed") as caught:
            open_database(address, clock)
        assert "not-the-password" not in str(caught.value)
    database = open_database(url, clock)
    assert secret not in database.place
    database.close()


def test_a_server_that_is_not_there(tmp_path: Path, clock: ManualClock) -> None:
    with pytest.raises(StateUnavailable, match="can't be reached") as caught:
        open_database(f"postgresql://vagus@/vagus?host={tmp_path}", clock)
    assert "\n" not in str(caught.value)
    assert "look whether it runs" in caught.value.mend


def test_a_database_that_is_not_there(url: str, clock: ManualClock) -> None:
    with pytest.raises(StateUnavailable, match="does not exist"):
        open_database(url.replace(name_of(url), "nowhere"), clock)


def test_without_the_driver_the_mend_is_one_line(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra) as caught:
        open_database("postgresql://vagus@127.0.0.1/vagus", clock)
    assert "pip install 'vagus[postgres]'" in str(caught.value)


def test_a_database_of_something_else(postgres: Server, clock: ManualClock) -> None:
    url = postgres.new_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE recipes (name text)")
    with pytest.raises(StateError, match=r"something else \(tables: recipes\)"):
        open_database(url, clock)


def test_a_user_that_may_not_make_tables(postgres: Server, clock: ManualClock) -> None:
    url = postgres.new_database()
    user, secret = f"guest_{name_of(url)}", password_of(url)
    postgres.do(f"CREATE USER {user} PASSWORD '{secret}'")
    with pytest.raises(StateError, match="permission denied") as caught:
        open_database(url.replace("//vagus:", f"//{user}:"), clock)
    assert not isinstance(caught.value, StateUnavailable)
    assert "grant this user" in caught.value.mend


def test_any_way_to_write_the_scheme(url: str, clock: ManualClock) -> None:
    for scheme in ("postgres://", "postgresql+psycopg://"):
        open_database(url.replace("postgresql://", scheme), clock).close()


# --- while it runs --------------------------------------------------------------------------------


@pytest.fixture
def ledger(database: Database) -> Iterator[Ledger]:
    ledger = Ledger(database)
    ledger.append("w", "1", "said")
    yield ledger
    assert ledger.verify() == []


def test_after_the_sessions_were_cut_off_the_next_call_works(
    ledger: Ledger, postgres: Server, url: str
) -> None:
    cut_off(postgres, url)
    ledger.append("w", "2", "said")
    assert ledger.head().seq == 2


def test_a_transaction_that_is_cut_off_leaves_nothing(
    ledger: Ledger, database: Database, postgres: Server, url: str
) -> None:
    def half() -> None:
        with database.write():
            ledger.append("w", "2", "said")
            cut_off(postgres, url)
            ledger.append("w", "3", "said")

    with pytest.raises(StateUnavailable, match="is gone"):
        half()
    assert ledger.head().seq == 1
    ledger.append("w", "2", "said")
    assert ledger.head().seq == 2


def test_a_database_set_to_read_only_is_read_and_says_so(
    ledger: Ledger, postgres: Server, url: str, clock: ManualClock
) -> None:
    setting = f"ALTER DATABASE {name_of(url)} SET default_transaction_read_only = "
    postgres.do(setting + "on")
    cut_off(postgres, url)
    assert ledger.head().seq == 1
    with pytest.raises(StateUnavailable, match="can't be written") as caught:
        ledger.append("w", "2", "said")
    assert "goes on by itself" in caught.value.mend
    open_database(url, clock).close()  # to read is possible
    postgres.do(setting + "off")
    cut_off(postgres, url)
    ledger.append("w", "2", "said")
    assert ledger.head().seq == 2


def test_whoever_is_stopped_within_a_transaction_does_not_keep_the_lock(
    database: Database, url: str, clock: ManualClock
) -> None:
    """The server ends the one that stands still; the one that waits goes on, and is alone."""
    other = open_database(url, clock)
    entered, go_on, ended = threading.Event(), threading.Event(), []

    def stand_still() -> None:
        try:
            with database.write():
                Ledger(database).append("w", "still", "said")
                entered.set()
                go_on.wait(60)
                Ledger(database).append("w", "late", "said")
        except StateUnavailable as error:
            ended.append(error)

    thread = threading.Thread(target=stand_still)
    thread.start()
    try:
        assert entered.wait(60)
        Ledger(other).append("w", "other", "said")  # waits until the lock is free
    finally:
        go_on.set()
        thread.join()
        steps = [entry.step for entry in Ledger(other).entries()]
        other.close()
    assert len(ended) == 1
    assert steps == ["other"]


def test_a_zero_byte_in_a_text_is_marked_and_loses_nothing_else(database: Database) -> None:
    subject = Subject("chat", "chat-1")
    finding = Finding(subject, Symptom.GONE, Sense.SCRAPE, 1.0, 1.0, "said \x00 and 'more'")
    incidents = Incidents(database)
    incident = incidents.open(subject, Cause("replica-gone", subject, 0.9), [finding])
    assert [f.sentence for f in incidents.findings(incident.id)] == ["said \ufffd and 'more'"]


def test_the_clock_is_the_server_s(database: Database, clock: ManualClock) -> None:
    first = database.now()
    clock.advance(1000)
    second = database.now()
    assert 0 <= second - first < 600
    assert abs(first - clock.now()) > 1_000_000
