from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from vagus.clock import ManualClock
from vagus.errors import StateError
from vagus.model import Decision, Sense, Subject
from vagus.state.db import Database
from vagus.state.ledger import Break, Head, Ledger

LENGTH = 20


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def filled(ledger: Ledger, clock: ManualClock) -> Ledger:
    for n in range(1, LENGTH + 1):
        clock.advance(0.1)
        ledger.append("inc-1:1", str(n), "said", {"n": n, "share": n / 3})
    return ledger


def tamper(database: Database, *statements: str) -> None:
    """As somebody who can write the tables."""
    with database.write() as connection:
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount > 0


def test_appending_the_same_again_adds_nothing(ledger: Ledger, clock: ManualClock) -> None:
    ledger.append("inc-1:1", "3", "acted", {"x": 1})
    clock.advance(1.0)
    ledger.append("inc-1:1", "3", "acted", {"x": 2})
    ledger.append("inc-1:1", "3", "applied")
    ledger.append("inc-1:2", "3", "acted")
    assert [(e.seq, e.workflow, e.event, dict(e.facts)) for e in ledger.tail(10)] == [
        (1, "inc-1:1", "acted", {"x": 1}),
        (2, "inc-1:1", "applied", {}),
        (3, "inc-1:2", "acted", {}),
    ]
    assert ledger.verify() == []


def test_facts_may_hold_the_model_s_values(ledger: Ledger) -> None:
    ledger.append(
        "w",
        "1",
        "said",
        {
            "subject": Subject("chat", "chat-1"),
            "decision": Decision.DENY,
            "senses": frozenset({Sense.SCRAPE, Sense.PROBE}),
            "numbers": {"worst": float("inf"), "none": None},
            "text": "zurück",
        },
    )
    assert ledger.tail(1)[0].facts == {
        "subject": {"component": "chat", "replica": "chat-1"},
        "decision": "DENY",
        "senses": ["probe", "scrape"],
        "numbers": {"worst": "inf", "none": None},
        "text": "zurück",
    }
    assert ledger.verify() == []
    with pytest.raises(TypeError, match="can't be kept"):
        ledger.append("w", "2", "said", {"lock": object()})


def test_the_ends(filled: Ledger) -> None:
    assert [e.seq for e in filled.tail(3)] == [18, 19, 20]
    assert [e.seq for e in filled.entries()] == list(range(1, LENGTH + 1))
    assert [e.seq for e in filled.entries(after=17)] == [18, 19, 20]
    assert filled.head() == Head(LENGTH, filled.tail(1)[0].hash)
    assert Head.parse(str(filled.head())) == filled.head()


def test_an_empty_ledger(ledger: Ledger) -> None:
    assert ledger.head().seq == 0
    assert list(ledger.entries()) == []
    assert ledger.verify(ledger.head()) == []


def test_a_long_ledger_is_walked_whole(ledger: Ledger, database: Database) -> None:
    with database.write():
        for n in range(1, 1102):
            ledger.append("w", str(n), "said")
    assert [e.seq for e in ledger.entries()] == list(range(1, 1102))
    assert ledger.verify(ledger.head()) == []


@pytest.mark.parametrize("column", ["at", "workflow", "step", "event", "facts"])
def test_any_change_of_an_entry_is_located(filled: Ledger, database: Database, column: str) -> None:
    value = "0.5" if column == "at" else "'{\"n\":7}'"
    tamper(database, f"UPDATE ledger SET {column} = {value} WHERE seq = 7")
    assert filled.verify() == [Break(7, "it is not what was written: altered, or moved here")]


def test_a_change_with_its_hash_computed_anew_shows_in_the_next(
    filled: Ledger, database: Database
) -> None:
    tamper(database, f"UPDATE ledger SET hash = '{'a' * 64}' WHERE seq = 7")
    assert [b.seq for b in filled.verify()] == [7, 8]


def test_entries_taken_out_of_the_middle(filled: Ledger, database: Database) -> None:
    tamper(database, "DELETE FROM ledger WHERE seq IN (7, 8)", "DELETE FROM ledger WHERE seq = 12")
    assert filled.verify() == [
        Break(7, "entries 7 to 8 are missing"),
        Break(12, "entry 12 is missing"),
    ]


def test_the_beginning_cut_off(filled: Ledger, database: Database) -> None:
    tamper(database, "DELETE FROM ledger WHERE seq < 4")
    assert filled.verify() == [Break(1, "entries 1 to 3 are missing")]


def test_a_gap_closed_by_renumbering(filled: Ledger, database: Database) -> None:
    tamper(
        database,
        "DELETE FROM ledger WHERE seq = 20",
        "UPDATE ledger SET seq = 1000 WHERE seq = 10",
        "UPDATE ledger SET seq = seq - 1 WHERE seq > 10 AND seq < 1000",
        "DELETE FROM ledger WHERE seq = 999 OR seq = 1000",
    )
    assert filled.verify()[0].seq == 10


def test_two_entries_swapped(filled: Ledger, database: Database) -> None:
    tamper(
        database,
        "UPDATE ledger SET seq = 1000 WHERE seq = 7",
        "UPDATE ledger SET seq = 7 WHERE seq = 12",
        "UPDATE ledger SET seq = 12 WHERE seq = 1000",
    )
    assert {b.seq for b in filled.verify()} == {7, 8, 12, 13}


def test_a_cut_off_end_needs_an_anchor(filled: Ledger, database: Database) -> None:
    anchor = filled.head()
    tamper(database, "DELETE FROM ledger WHERE seq > 15")
    assert filled.verify() == []
    assert filled.verify(anchor) == [
        Break(16, "the end is cut off: entry 20 was anchored, 15 is the last")
    ]


def test_a_whole_new_chain_needs_an_anchor(
    filled: Ledger, database: Database, clock: ManualClock
) -> None:
    anchor = filled.head()
    tamper(database, "DELETE FROM ledger")
    for n in range(1, LENGTH + 5):
        filled.append("inc-1:1", str(n), "said", {"n": 0})
    assert filled.verify() == []
    assert filled.verify(anchor) == [Break(LENGTH, "it is not the entry that was anchored")]


def test_what_was_added_since_the_anchor_is_fine(filled: Ledger) -> None:
    anchor = filled.head()
    filled.append("inc-1:1", "later", "said")
    assert filled.verify(anchor) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1],
        lambda text: text.replace('"n"', '"m"'),
        lambda text: text + " ",
    ],
)
def test_even_a_space_in_the_facts_shows(
    filled: Ledger, database: Database, spoil: Callable[[str], str]
) -> None:
    with database.write() as connection:
        facts = connection.execute(text("SELECT facts FROM ledger WHERE seq = 5")).scalar_one()
        changed = text("UPDATE ledger SET facts = :facts WHERE seq = 5")
        connection.execute(changed, {"facts": spoil(facts)})
    assert [b.seq for b in filled.verify()] == [5]


def test_the_story_of_one_incident_is_found(ledger: Ledger) -> None:
    for workflow in ("inc-1:1", "inc-10:1", "inc-1:2", "inc-1x:1", "vagus", "inc_1:1"):
        ledger.append(workflow, "plan", "planned")
    assert [entry.workflow for entry in ledger.of_incident("inc-1")] == ["inc-1:1", "inc-1:2"]
    assert [entry.workflow for entry in ledger.of_incident("inc_1")] == ["inc_1:1"]


def test_of_many_anchors_the_first_that_disagrees_says_where_it_began(
    filled: Ledger, database: Database, clock: ManualClock
) -> None:
    with database.read() as connection:
        known = connection.execute(text("SELECT seq, hash FROM ledger ORDER BY seq"))
        heads = [Head(seq, digest) for seq, digest in known if seq % 5 == 0]
    tamper(database, "DELETE FROM ledger WHERE seq > 7")
    for n in range(8, LENGTH + 1):
        filled.append("inc-1:1", str(n), "forged")
    assert filled.verify() == []
    assert [b.seq for b in filled.verify(*heads)] == [10, 15, 20]


def test_an_entry_put_before_the_first(filled: Ledger, database: Database) -> None:
    tamper(
        database,
        "INSERT INTO ledger SELECT -1, at, workflow, step, 'forged', facts, previous, hash "
        "FROM ledger WHERE seq = 3",
    )
    assert filled.verify() == [Break(-1, "it was put before the first entry")]


def test_facts_that_are_no_facts_are_named_and_not_guessed(
    filled: Ledger, database: Database
) -> None:
    tamper(database, "UPDATE ledger SET facts = '{' WHERE seq = 7")
    with pytest.raises(StateError, match="can't be read back") as caught:
        filled.tail(LENGTH)
    assert "entry 7 of the ledger" in str(caught.value)
    assert [b.seq for b in filled.verify()] == [7]
