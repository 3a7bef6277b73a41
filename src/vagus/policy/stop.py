"""The kill switch: a file, outside of the configuration that it guards.

It is a file so that anybody with a shell can set it while everything else is on fire, and so that
no reload, restart or bad configuration can unset it. Its first line says who and why::

    Ada: migration until 14:00

(``echo 'Ada: migration until 14:00' > vagus.stop``). A file that says neither counts all the same.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from vagus.errors import StateError
from vagus.model import Stop
from vagus.ports import Ledger

log = structlog.get_logger()

LONGEST_OWNER = 60  # characters before the colon; what is longer is a sentence with a colon in it
LONGEST_REASON = 200


def stop_file(path: Path) -> Stop | None:
    """Who stopped everything and why, or None. A switch that can't be read counts as set."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        return Stop("", f"{path} can't be read, which counts as set: {error.strerror}")
    line = text.strip().partition("\n")[0].strip()
    owner, colon, reason = line.partition(": ")
    if not colon or len(owner) > LONGEST_OWNER:
        owner, reason = "", line
    return Stop(owner.strip(), reason.strip()[:LONGEST_REASON] or f"{path} gives no reason")


class StopWatch:
    """Tells the ledger when the file comes, changes and goes, as it is told of the switch in the
    state: who is asked why everything stood still last night has only the ledger to look at."""

    def __init__(self, path: Path, ledger: Ledger) -> None:
        self._path = path
        self._ledger = ledger
        self._told: Stop | None = None

    def look(self, now: float) -> None:
        stop = stop_file(self._path)
        if stop == self._told:
            return
        event, facts = "resumed", {"by": f"whoever removed {self._path.name}"}
        if stop is not None:
            owner = stop.owner or f"whoever wrote {self._path.name}"
            event, facts = "stopped", {"by": owner, "reason": stop.reason}
        try:
            self._ledger.append("controls", f"kill_switch:file:{now:.6f}", event, facts)
        except StateError as error:  # said at the next look, if it is still so
            log.warning("stop.not_told", error=str(error))
            return
        self._told = stop
