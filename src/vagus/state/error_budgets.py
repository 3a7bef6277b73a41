"""What callers asked of each component and how much of it failed, by hours.

An error budget of thirty days outlives every process, and a day of it is 24 rows. The hour that is
under way is written again whenever it is known better.
"""

from __future__ import annotations

from sqlalchemy import delete, select

from vagus.state import tables
from vagus.state.db import Database

_rows = tables.served_hours

Hour = tuple[int, float, float]
"""Since the Unix epoch; requests that failed; all of them."""


class ErrorBudgets:
    def __init__(self, database: Database) -> None:
        self._database = database

    def hours(self) -> dict[str, list[Hour]]:
        """All that is kept, by component, oldest first."""
        found: dict[str, list[Hour]] = {}
        with self._database.read() as connection:
            for row in connection.execute(select(_rows).order_by(_rows.c.hour)):
                found.setdefault(row.component, []).append((row.hour, row.failed, row.requests))
        return found

    def keep(self, component: str, hour: int, failed: float, requests: float, oldest: int) -> None:
        """What is known of ``hour``, in place of what was; hours before ``oldest`` are dropped."""
        here = _rows.c.component == component
        with self._database.write() as connection:
            connection.execute(
                delete(_rows).where(here, (_rows.c.hour == hour) | (_rows.c.hour < oldest))
            )
            connection.execute(
                _rows.insert().values(
                    component=component, hour=hour, failed=failed, requests=requests
                )
            )
