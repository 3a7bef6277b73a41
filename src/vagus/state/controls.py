"""What people set while Vagus runs: the kill switch, and the mode over the configuration's.

They are rows and not settings, because what a person decided at night must outlive a restart, reach
every process of a state, and not be undone by a configuration that somebody else rolls out. The
present value is one row; how it came to be is in the ledger, written in the same transaction, so
that there is no change without its author.

The other half of the kill switch is a file (:mod:`vagus.policy.stop`), for when the state itself is
what is on fire.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Row, delete, select

from vagus.errors import StateError
from vagus.model import Stop
from vagus.state import tables
from vagus.state.db import Database
from vagus.state.ledger import Ledger

_rows = tables.controls

KILL_SWITCH = "kill_switch"
MODE = "mode"
WORKFLOW = "controls"  # under which changes stand in the ledger


class Controls:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._ledger = Ledger(database)

    def stop(self) -> Stop | None:
        """The kill switch as it is set here, or None."""
        row = self._row(KILL_SWITCH)
        return None if row is None else Stop(row.by, row.reason, row.at)

    def set_stop(self, stop: Stop) -> None:
        """Set it; a later one replaces owner and reason.

        Raises StateError without an owner or a reason: whoever finds everything standing still has
        to know whom to ask.
        """
        _require(by=stop.owner, reason=stop.reason)
        at = self._database.clock.now() if stop.at is None else stop.at
        with self._database.write():
            self._put(KILL_SWITCH, "set", stop.owner, stop.reason, at)
            self._tell(KILL_SWITCH, "stopped", {"by": stop.owner, "reason": stop.reason})

    def clear_stop(self, by: str) -> None:
        """Lift it. Nothing happens, and nothing is told, if it isn't set."""
        with self._database.write():
            stop = self.stop()
            if stop is not None:
                self._drop(KILL_SWITCH)
                was = {"owner": stop.owner, "reason": stop.reason}
                self._tell(KILL_SWITCH, "resumed", {"by": by, "was": was})

    def mode(self) -> str | None:
        """The mode that a person chose over the configuration's, or None."""
        row = self._row(MODE)
        return None if row is None else str(row.value)

    def set_mode(self, mode: str | None, by: str, reason: str) -> None:
        """Choose ``mode``; None gives the word back to the configuration.

        Raises StateError without a person or a reason.
        """
        _require(by=by, reason=reason)
        with self._database.write():
            was = self.mode()
            self._drop(MODE)
            if mode is not None:
                self._put(MODE, mode, by, reason, self._database.clock.now())
            self._tell(MODE, "mode", {"by": by, "reason": reason, "mode": mode, "was": was})

    def _row(self, name: str) -> Row[tuple[object, ...]] | None:
        with self._database.read() as connection:
            return connection.execute(select(_rows).where(_rows.c.name == name)).one_or_none()

    def _put(self, name: str, value: str, by: str, reason: str, at: float) -> None:
        with self._database.write() as connection:
            self._drop(name)
            connection.execute(
                _rows.insert().values(name=name, value=value, by=by, reason=reason, at=at)
            )

    def _drop(self, name: str) -> None:
        with self._database.write() as connection:
            connection.execute(delete(_rows).where(_rows.c.name == name))

    def _tell(self, name: str, event: str, facts: Mapping[str, object]) -> None:
        """A change is told each time it is made: the ledger's next number keeps two apart that
        happen within one tick of the clock."""
        self._ledger.append(WORKFLOW, f"{name}:{self._ledger.head().seq + 1}", event, facts)


def _require(**given: str) -> None:
    for name, text in given.items():
        if not text.strip():
            raise StateError(f"a control needs to say {name}", mend="say who and why")
