"""The outbox loses nothing between the ledger and its messages, and writes nothing twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vagus.clock import ManualClock
from vagus.model import Message
from vagus.state.db import Database, open_database
from vagus.state.ledger import Entry, Ledger
from vagus.state.outbox import KEPT, Outbox


def to(*targets: str, event: str = "news") -> object:
    def compose(entry: Entry) -> Iterator[tuple[str, Message]]:
        if entry.event == event:
            for target in targets:
                yield target, Message("resolved", f"news {entry.step}", "text")

    return compose


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def outbox(database: Database) -> Outbox:
    outbox = Outbox(database)
    outbox.start()
    return outbox


def drain(outbox: Outbox, target: str) -> list[str]:
    titles = []
    while due := outbox.due(target):
        (notification,) = due
        titles.append(notification.message.title)
        outbox.sent(notification)
    return titles


def test_news_goes_to_each_target_once_and_in_order(ledger: Ledger, outbox: Outbox) -> None:
    for step in ("1", "2", "3"):
        ledger.append("w", step, "news" if step != "2" else "noise")
    assert outbox.fill(to("pager", "chat")) == 3
    assert outbox.fill(to("pager", "chat")) == 0
    assert outbox.waiting() == 4
    assert drain(outbox, "pager") == ["news 1", "news 3"]
    assert drain(outbox, "chat") == ["news 1", "news 3"]
    assert outbox.waiting() == 0


def test_what_was_said_before_anybody_was_told_is_old_news(
    database: Database, ledger: Ledger
) -> None:
    ledger.append("w", "1", "news")
    outbox = Outbox(database)
    outbox.start()
    ledger.append("w", "2", "news")
    outbox.fill(to("pager"))
    assert drain(outbox, "pager") == ["news 2"]


def test_what_was_said_while_vagus_was_down_is_told_at_the_next_start(
    ledger: Ledger, outbox: Outbox, url: str, clock: ManualClock
) -> None:
    ledger.append("w", "1", "news")
    again = open_database(url, clock)
    try:
        later = Outbox(again)
        later.start()
        later.fill(to("pager"))
        assert drain(later, "pager") == ["news 1"]
    finally:
        again.close()


def test_a_crash_while_filling_reads_the_same_entries_again(ledger: Ledger, outbox: Outbox) -> None:
    for step in ("1", "2"):
        ledger.append("w", step, "news")

    def crash(entry: Entry) -> Iterator[tuple[str, Message]]:
        yield "pager", Message("resolved", "half", "text")
        if entry.step == "2":
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outbox.fill(crash)
    assert outbox.waiting() == 0
    outbox.fill(to("pager"))
    assert drain(outbox, "pager") == ["news 1", "news 2"]


def test_two_that_fill_at_once_write_everything_once(ledger: Ledger, outbox: Outbox) -> None:
    ledger.append("w", "1", "news")

    def overtaken(entry: Entry) -> Iterator[tuple[str, Message]]:
        assert outbox.fill(to("pager")) == 1
        yield "pager", Message("resolved", "twice", "text")

    assert outbox.fill(overtaken) == 0
    assert drain(outbox, "pager") == ["news 1"]


def test_a_long_absence_is_caught_up_in_pages(ledger: Ledger, outbox: Outbox) -> None:
    for n in range(450):
        ledger.append("w", str(n), "news")
    read = []
    while count := outbox.fill(to("pager")):
        read.append(count)
    assert read == [200, 200, 50]
    assert drain(outbox, "pager") == [f"news {n}" for n in range(450)]


def test_one_that_failed_waits_and_lets_others_pass(
    ledger: Ledger, outbox: Outbox, clock: ManualClock
) -> None:
    for step in ("1", "2"):
        ledger.append("w", step, "news")
    outbox.fill(to("pager"))
    (first,) = outbox.due("pager")
    assert len(outbox.due("pager", limit=9)) == 2
    assert outbox.late() == 0
    outbox.later(first, 10.0)
    assert (outbox.late(), outbox.waiting()) == (1, 2)
    assert drain(outbox, "pager") == ["news 2"]
    clock.advance(10.0)
    (again,) = outbox.due("pager")
    assert (again.id, again.tries) == (first.id, 1)


def test_one_that_is_given_up_is_not_tried_again(
    ledger: Ledger, outbox: Outbox, clock: ManualClock
) -> None:
    ledger.append("w", "1", "news")
    outbox.fill(to("pager"))
    (notification,) = outbox.due("pager")
    outbox.give_up(notification)
    clock.advance(1e6)
    assert outbox.due("pager") == []
    assert outbox.waiting() == 0


def test_what_is_done_with_is_forgotten_in_time_and_what_waits_is_not(
    database: Database, ledger: Ledger, outbox: Outbox, clock: ManualClock
) -> None:
    ledger.append("w", "1", "news")
    outbox.fill(to("pager", "chat"))
    drain(outbox, "pager")
    clock.advance(KEPT + 1)
    ledger.append("w", "2", "noise")
    outbox.fill(to("pager", "chat"))
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT id FROM notifications").scalars().all()
    assert rows == ["1-chat"]
