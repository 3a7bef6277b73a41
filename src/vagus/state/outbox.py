"""The outbox: messages that are to be delivered, each to one target.

It is filled from the ledger. A cursor says how far the ledger has been read, and it moves in the
transaction that writes the messages: a crash before it reads the same entries again, a crash after
it has them. So nothing is lost between an entry and its messages, and nothing is written twice.
Delivery is another matter: a crash after a message was accepted and before that was noted delivers
it again, which is why its id goes with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from sqlalchemy import ColumnElement, Connection, Row, delete, func, select, update

from vagus.model import Message, Notification
from vagus.state import tables
from vagus.state.db import Database
from vagus.state.ledger import Entry, Ledger

_rows = tables.notifications
_cursors = tables.cursors

Compose = Callable[[Entry], Iterable[tuple[str, Message]]]
"""What is to be said of an entry, as (target, message)."""

READER = "outbox"
KEPT = 7 * 86_400.0  # s that delivered and given up messages are kept
_WAITING, _SENT, _GIVEN_UP = "waiting", "sent", "given-up"
_PAGE = 200  # entries of the ledger read in one transaction


class Outbox:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._ledger = Ledger(database)

    def start(self) -> None:
        """From now on. What stands in a ledger that nobody was told of before is old news."""
        with self._database.write() as connection:
            if _cursor(connection) is None:
                here = {"reader": READER, "seq": self._ledger.head().seq}
                connection.execute(_cursors.insert().values(**here))

    def fill(self, compose: Compose) -> int:
        """Read on in the ledger and write what ``compose`` says of it. Returns how many entries
        were read; 0 when there is nothing new.

        Composing looks many things up, so it is done before the write lock is taken.
        """
        with self._database.read() as connection:
            here = _cursor(connection) or 0
            if self._ledger.head().seq <= here:
                return 0
        entries = list(islice(self._ledger.entries(here), _PAGE))
        news = [(entry, target, said) for entry in entries for target, said in compose(entry)]
        with self._database.write() as connection:
            if (_cursor(connection) or 0) != here:
                return 0  # somebody else has read on meanwhile, and written it
            now = self._database.clock.now()
            for entry, target, message in news:
                connection.execute(
                    _rows.insert().values(
                        id=f"{entry.seq}-{target}",
                        seq=entry.seq,
                        target=target,
                        occasion=message.occasion,
                        title=message.title,
                        body=message.body,
                        state=_WAITING,
                        tries=0,
                        created_at=now,
                        next_at=now,
                    )
                )
            moved = update(_cursors).where(_cursors.c.reader == READER)
            connection.execute(moved.values(seq=entries[-1].seq))
            over = (_rows.c.state != _WAITING, _rows.c.created_at < now - KEPT)
            connection.execute(delete(_rows).where(*over))
        return len(entries)

    def due(self, target: str, limit: int = 1) -> Sequence[Notification]:
        """The next ones to try for ``target``; none while there is nothing, or it has to wait."""
        wanted = (
            select(_rows)
            .where(
                _rows.c.target == target,
                _rows.c.state == _WAITING,
                _rows.c.next_at <= self._database.clock.now(),
            )
            .order_by(_rows.c.next_at, _rows.c.seq)
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_notification(row) for row in connection.execute(wanted)]

    def sent(self, notification: Notification) -> None:
        self._note(notification, state=_SENT, tries=notification.tries)

    def later(self, notification: Notification, after: float) -> None:
        """It failed: try again in ``after`` seconds."""
        at = self._database.clock.now() + after
        self._note(notification, next_at=at, tries=notification.tries + 1)

    def give_up(self, notification: Notification) -> None:
        """It failed, for the last time."""
        self._note(notification, state=_GIVEN_UP, tries=notification.tries + 1)

    def waiting(self) -> int:
        """How many are to be delivered yet."""
        return self._count(_rows.c.state == _WAITING)

    def late(self) -> int:
        """How many of them failed at least once."""
        return self._count(_rows.c.state == _WAITING, _rows.c.tries > 0)

    def _count(self, *conditions: ColumnElement[bool]) -> int:
        with self._database.read() as connection:
            count = select(func.count()).select_from(_rows).where(*conditions)
            return int(connection.execute(count).scalar_one())

    def _note(self, notification: Notification, **values: object) -> None:
        with self._database.write() as connection:
            connection.execute(update(_rows).where(_rows.c.id == notification.id).values(**values))


def _cursor(connection: Connection) -> int | None:
    found = select(_cursors.c.seq).where(_cursors.c.reader == READER)
    value: int | None = connection.execute(found).scalar_one_or_none()
    return value


def _notification(row: Row[tuple[object, ...]]) -> Notification:
    return Notification(
        id=row.id,
        target=row.target,
        message=Message(row.occasion, row.title, row.body),
        created_at=row.created_at,
        tries=row.tries,
    )
