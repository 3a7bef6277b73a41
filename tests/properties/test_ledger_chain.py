"""Whatever was written, the chain holds; whatever is changed, it does not."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from vagus.clock import ManualClock
from vagus.state import tables
from vagus.state.db import Database, open_database
from vagus.state.ledger import Ledger

Said = tuple[str, str, str, dict[str, object]]

TEXT = st.text(max_size=12)
FACTS = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats() | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
ENTRIES = st.lists(st.tuples(TEXT, TEXT, TEXT, FACTS), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ledger") / "vagus.db"


@pytest.fixture(scope="module")
def database(file: Path) -> Iterator[Database]:
    database = open_database(f"sqlite:///{file}", ManualClock())
    yield database
    database.close()


def written(database: Database, entries: list[Said]) -> Ledger:
    """A ledger with these entries and nothing else."""
    ledger = Ledger(database)
    with database.write() as connection:
        connection.execute(delete(tables.ledger))
        for entry in entries:
            ledger.append(*entry)
    return ledger


def tamper(file: Path, statement: str, *values: object) -> None:
    raw = sqlite3.connect(file)
    raw.execute(statement, values)
    raw.commit()
    raw.close()


@settings(max_examples=60, deadline=None)
@given(entries=ENTRIES)
def test_what_is_written_holds_and_is_written_once(database: Database, entries: list[Said]) -> None:
    ledger = written(database, entries + entries)
    keys = [(e.workflow, e.step, e.event) for e in ledger.entries()]
    assert keys == list(dict.fromkeys(entry[:3] for entry in entries))
    assert ledger.verify(ledger.head()) == []


@settings(max_examples=60, deadline=None)
@given(
    entries=ENTRIES,
    place=st.integers(0, 11),
    column=st.sampled_from(["at", "workflow", "step", "event", "facts", "previous", "hash"]),
)
def test_what_is_changed_is_located(
    database: Database, file: Path, entries: list[Said], place: int, column: str
) -> None:
    ledger = written(database, entries)
    anchor = ledger.head()
    seq = place % anchor.seq + 1
    more = "+ 0.001" if column == "at" else "|| 'x'"
    tamper(file, f"UPDATE ledger SET {column} = {column} {more} WHERE seq = ?", seq)
    assert seq in {found.seq for found in ledger.verify(anchor)}


@settings(max_examples=40, deadline=None)
@given(entries=ENTRIES, place=st.integers(0, 11))
def test_what_is_taken_out_is_located(
    database: Database, file: Path, entries: list[Said], place: int
) -> None:
    ledger = written(database, entries)
    anchor = ledger.head()
    seq = place % anchor.seq + 1
    tamper(file, "DELETE FROM ledger WHERE seq = ?", seq)
    assert [found.seq for found in ledger.verify(anchor)] == [seq]
