"""The ledger: what was seen, decided and done, in the order in which it was said.

Entries are only ever added, and each carries the SHA-256 of itself and of the hash before it, so a
change anywhere shows from there on. Two limits are worth knowing. Who can write the file can also
compute a whole new chain: only a head that was kept elsewhere (:meth:`Ledger.head`) proves against
that, or against an end that was cut off. And the chain says that nothing was changed since it was
written, not that it was true.

Appending is idempotent by (workflow, step, event): a step that runs again after a crash says again
what it said before, and the ledger takes it once.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, func, select

from vagus.errors import StateError
from vagus.state import records, tables
from vagus.state.db import Database

_rows = tables.ledger

GENESIS = "0" * 64
_PAGE = 500  # entries read at a time


@dataclass(frozen=True, slots=True)
class Entry:
    seq: int  # 1, 2, 3, ... without a gap
    at: float
    workflow: str
    step: str
    event: str
    facts: Mapping[str, object]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry, to be kept where whoever can write the state can't."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Raises ValueError for what :meth:`__str__` did not write."""
        seq, _, digest = text.partition(":")
        if not seq.isdecimal() or not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"{text!r} is not NUMBER:HASH")
        return cls(int(seq), digest)


@dataclass(frozen=True, slots=True)
class Break:
    """A place at which the chain does not hold. ``seq`` is where to look."""

    seq: int
    what: str


class Ledger:
    def __init__(self, database: Database) -> None:
        self._database = database

    def append(
        self, workflow: str, step: str, event: str, facts: Mapping[str, object] | None = None
    ) -> None:
        """Add an entry, unless this event of this step was added before."""
        text = records.canonical(facts or {})
        with self._database.write() as connection:
            known = select(_rows.c.seq).where(
                _rows.c.workflow == workflow, _rows.c.step == step, _rows.c.event == event
            )
            if connection.execute(known).first() is not None:
                return
            head = _head(connection)
            row = {
                "seq": head.seq + 1,
                "at": self._database.clock.now(),
                "workflow": workflow,
                "step": step,
                "event": event,
                "facts": text,
                "previous": head.hash,
            }
            connection.execute(_rows.insert().values(**row, hash=_digest(row)))

    def head(self) -> Head:
        """The last entry's number and hash; number 0 when there is none."""
        with self._database.read() as connection:
            return _head(connection)

    def tail(self, count: int) -> Sequence[Entry]:
        """The last ``count`` entries, oldest first."""
        wanted = select(_rows).order_by(_rows.c.seq.desc()).limit(count)
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(wanted)][::-1]

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Every entry with a number above ``after``, oldest first."""
        for row in self._walk(after):
            yield _entry(row)

    def page(self, after: int, limit: int) -> Sequence[Entry]:
        """At most ``limit`` entries with a number above ``after``, oldest first."""
        wanted = select(_rows).where(_rows.c.seq > after).order_by(_rows.c.seq).limit(limit)
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(wanted)]

    def of_incident(self, incident_id: str) -> Sequence[Entry]:
        """What was said about one incident, in all its epochs, oldest first."""
        workflows = _rows.c.workflow.startswith(f"{incident_id}:", autoescape=True)
        wanted = select(_rows).where(workflows).order_by(_rows.c.seq)
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(wanted)]

    def of_event(self, event: str, since: float, until: float) -> Sequence[Entry]:
        """Every entry of this event from ``since`` on and before ``until``, oldest first."""
        within = (_rows.c.event == event, _rows.c.at >= since, _rows.c.at < until)
        wanted = select(_rows).where(*within).order_by(_rows.c.seq)
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(wanted)]

    def verify(self, *anchors: Head) -> Sequence[Break]:
        """Where the chain does not hold: nothing if it is as it was written.

        With ``anchors``, heads that were kept elsewhere, it is also found when the end was cut off
        or the whole chain was computed anew.
        """
        breaks: list[Break] = []
        before, last_anchor = Head(0, GENESIS), max((a.seq for a in anchors), default=0)
        anchored: dict[int, set[str]] = {}
        for anchor in anchors:
            anchored.setdefault(anchor.seq, set()).add(anchor.hash)
        for row in self._walk(None):
            if row.seq < 1:
                breaks.append(Break(row.seq, "it was put before the first entry"))
                continue
            if row.seq > before.seq + 1:
                first, last = before.seq + 1, row.seq - 1
                gone = f"entry {first} is" if first == last else f"entries {first} to {last} are"
                breaks.append(Break(first, f"{gone} missing"))
            elif row.previous != before.hash:
                breaks.append(Break(row.seq, "it does not follow the entry before it"))
            if not _is_as_written(row):
                breaks.append(Break(row.seq, "it is not what was written: altered, or moved here"))
            if anchored.get(row.seq, {row.hash}) != {row.hash}:
                breaks.append(Break(row.seq, "it is not the entry that was anchored"))
            before = Head(row.seq, row.hash)
        if last_anchor > before.seq:
            what = f"the end is cut off: entry {last_anchor} was anchored, {before.seq} is the last"
            breaks.append(Break(before.seq + 1, what))
        return breaks

    def _walk(self, after: int | None) -> Iterator[Row[tuple[object, ...]]]:
        """Rows in order, a page a transaction, so that a long walk keeps nobody from writing."""
        while True:
            page = select(_rows).order_by(_rows.c.seq).limit(_PAGE)
            if after is not None:
                page = page.where(_rows.c.seq > after)
            with self._database.read() as connection:
                rows = connection.execute(page).all()
            yield from rows
            if len(rows) < _PAGE:
                return
            after = rows[-1].seq


def _head(connection: Connection) -> Head:
    last = select(_rows.c.seq, _rows.c.hash).where(
        _rows.c.seq == select(func.max(_rows.c.seq)).scalar_subquery()
    )
    row = connection.execute(last).one_or_none()
    return Head(0, GENESIS) if row is None else Head(row.seq, row.hash)


def _digest(row: Mapping[str, object]) -> str:
    """SHA-256 over the canonical JSON of everything but the hash itself. ``facts`` goes in as the
    text that is stored, so that nothing depends on how a number is read back."""
    signed = {name: value for name, value in row.items() if name != "hash"}
    return hashlib.sha256(records.canonical(signed).encode()).hexdigest()


def _is_as_written(row: Row[tuple[object, ...]]) -> bool:
    try:
        return bool(row.hash == _digest(dict(row._mapping)))
    except TypeError:  # somebody put in what we never write, such as bytes
        return False


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    try:
        facts = json.loads(row.facts)
    except (TypeError, ValueError) as error:
        raise StateError(
            "can't be read back: it was changed by hand",
            where=f"entry {row.seq} of the ledger",
            mend="see what else was: vagus ledger verify",
        ) from error
    return Entry(
        seq=row.seq,
        at=row.at,
        workflow=row.workflow,
        step=row.step,
        event=row.event,
        facts=facts,
        previous=row.previous,
        hash=row.hash,
    )
