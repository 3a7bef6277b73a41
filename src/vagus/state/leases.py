"""Leases: at most one owner of a target at a time, for so long, with a fencing token.

A lease that ran out is free to the next who asks, so its former owner may still believe in it. The
fencing token is what tells the two apart: it grows whenever a target changes hands and never goes
back, and whoever acts shows it at the moment of acting. The row therefore stays when a lease is
released. Renewing keeps the token; taking one's own lease again after it ran out does not, since
nobody knows what happened in between. When it runs out is a matter of the clock that everybody
shares: the server's, where the state is on one.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, select, update

from vagus.model import Subject
from vagus.state import tables
from vagus.state.db import Database

_rows = tables.leases
_NOBODY = ""


class Leases:
    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, target: Subject, owner: str, ttl: float) -> int | None:
        """Take or renew the lease for ``ttl`` seconds from now.

        The fencing token, or None while somebody else holds it.
        """
        if not owner:
            raise ValueError("a lease needs an owner with a name")
        with self._database.write() as connection:
            now = self._database.now()
            row = connection.execute(select(_rows).where(_is(target))).one_or_none()
            if row is None:
                connection.execute(
                    _rows.insert().values(
                        component=target.component,
                        replica=target.replica,
                        owner=owner,
                        fencing=1,
                        expires_at=now + ttl,
                    )
                )
                return 1
            held = row.owner != _NOBODY and now < row.expires_at
            if held and row.owner != owner:
                return None
            fencing = int(row.fencing) if held else int(row.fencing) + 1
            connection.execute(
                update(_rows)
                .where(_is(target))
                .values(owner=owner, fencing=fencing, expires_at=now + ttl)
            )
            return fencing

    def holds(self, target: Subject, owner: str, fencing: int) -> bool:
        """Whether ``owner`` holds it now, under this very token."""
        with self._database.read() as connection:
            row = connection.execute(select(_rows).where(_is(target))).one_or_none()
            now = self._database.now()
        return (
            row is not None
            and row.owner == owner
            and row.fencing == fencing
            and now < row.expires_at
        )

    def release(self, target: Subject, owner: str, fencing: int | None = None) -> None:
        """Let go of it, if ``owner`` holds it: under this very token, or under any (None)."""
        held = and_(_is(target), _rows.c.owner == owner)
        if fencing is not None:
            held = and_(held, _rows.c.fencing == fencing)
        with self._database.write() as connection:
            connection.execute(update(_rows).where(held).values(owner=_NOBODY, expires_at=0.0))


def _is(target: Subject) -> ColumnElement[bool]:
    return and_(_rows.c.component == target.component, _rows.c.replica == target.replica)
