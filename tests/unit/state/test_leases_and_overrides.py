from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import update

from vagus.clock import ManualClock
from vagus.model import Aspect, Override, Subject
from vagus.state import tables
from vagus.state.db import Database, is_shared
from vagus.state.leases import Leases
from vagus.state.overrides import Overrides

CHAT1 = Subject("chat", "chat-1")
CHAT2 = Subject("chat", "chat-2")


@pytest.fixture
def leases(database: Database) -> Leases:
    return Leases(database)


@pytest.fixture
def pass_time(url: str, database: Database, clock: ManualClock) -> Callable[[float], None]:
    """Nobody can move a server's clock: there, the ends of the leases come nearer instead."""

    def pass_time(seconds: float) -> None:
        clock.advance(seconds)
        if is_shared(url):
            rows = tables.leases
            with database.write() as connection:
                connection.execute(update(rows).values(expires_at=rows.c.expires_at - seconds))

    return pass_time


@pytest.fixture
def overrides(database: Database) -> Overrides:
    return Overrides(database)


def test_one_owner_at_a_time(leases: Leases) -> None:
    assert leases.acquire(CHAT1, "a", 10.0) == 1
    assert leases.acquire(CHAT1, "b", 10.0) is None
    assert leases.acquire(CHAT2, "b", 10.0) == 1
    assert leases.holds(CHAT1, "a", 1)
    assert not leases.holds(CHAT1, "b", 1)


def test_renewing_keeps_the_token_and_moves_the_end(
    leases: Leases, pass_time: Callable[[float], None]
) -> None:
    assert leases.acquire(CHAT1, "a", 10.0) == 1
    pass_time(9.0)
    assert leases.acquire(CHAT1, "a", 10.0) == 1
    pass_time(9.0)
    assert leases.holds(CHAT1, "a", 1)
    assert leases.acquire(CHAT1, "b", 10.0) is None


def test_a_lease_that_ran_out_is_free_and_its_old_owner_is_fenced_off(
    leases: Leases, pass_time: Callable[[float], None]
) -> None:
    assert leases.acquire(CHAT1, "a", 10.0) == 1
    pass_time(10.0)
    assert not leases.holds(CHAT1, "a", 1)
    assert leases.acquire(CHAT1, "b", 10.0) == 2
    assert not leases.holds(CHAT1, "a", 1)
    leases.release(CHAT1, "a")  # a zombie lets go of what is not its own any more
    assert leases.holds(CHAT1, "b", 2)


def test_one_s_own_lease_taken_again_after_it_ran_out_is_a_new_one(
    leases: Leases, pass_time: Callable[[float], None]
) -> None:
    assert leases.acquire(CHAT1, "a", 10.0) == 1
    pass_time(11.0)
    assert leases.acquire(CHAT1, "a", 10.0) == 2
    assert not leases.holds(CHAT1, "a", 1)


def test_the_token_outlives_a_release(leases: Leases) -> None:
    for expected in (1, 2, 3):
        assert leases.acquire(CHAT1, "a", 10.0) == expected
        leases.release(CHAT1, "a")
        assert not leases.holds(CHAT1, "a", expected)


def test_nobody_is_no_owner(leases: Leases) -> None:
    with pytest.raises(ValueError, match="name"):
        leases.acquire(CHAT1, "", 10.0)


def row(
    subject: Subject = CHAT1,
    aspect: Aspect = Aspect.HEALTH,
    value: str = "unhealthy",
    incident: str = "inc-1",
    created_at: float = 1.0,
) -> Override:
    return Override(subject, aspect, value, incident, created_at, created_at + 60.0)


def test_a_row_is_replaced_by_subject_aspect_and_incident(overrides: Overrides) -> None:
    overrides.put(row())
    overrides.put(row(value="draining", created_at=2.0))
    overrides.put(row(incident="inc-2", created_at=3.0))
    overrides.put(row(aspect=Aspect.WEIGHT, value="0.25", created_at=4.0))
    overrides.put(row(subject=CHAT2, created_at=5.0))
    assert overrides.all() == [
        row(value="draining", created_at=2.0),
        row(incident="inc-2", created_at=3.0),
        row(aspect=Aspect.WEIGHT, value="0.25", created_at=4.0),
        row(subject=CHAT2, created_at=5.0),
    ]


def test_an_incident_drops_its_own_rows_only(overrides: Overrides) -> None:
    overrides.put(row())
    overrides.put(row(aspect=Aspect.WEIGHT, value="0.25", created_at=2.0))
    overrides.put(row(incident="inc-2", created_at=3.0))
    overrides.put(row(subject=CHAT2, created_at=4.0))
    overrides.drop("inc-1", CHAT1, Aspect.WEIGHT)
    assert len(overrides.all()) == 3
    overrides.drop("inc-1", CHAT1)
    assert overrides.all() == [row(incident="inc-2", created_at=3.0), row(CHAT2, created_at=4.0)]
    overrides.drop("inc-1", CHAT1)  # again: nothing to do


def test_a_row_without_an_end(overrides: Overrides) -> None:
    member = Override(CHAT1, Aspect.MEMBER, "http://127.0.0.1:8101", "inc-1", 1.0)
    overrides.put(member)
    assert overrides.all() == [member]
