"""The mode and the kill switch in force: what people set since, over what was configured.

Modes are ordered by how much they let Vagus do, so "lower" and "higher" mean something: anybody who
operates the stack may lower it, and raising it takes more.

The mode is read once a tick, since it decides what is begun. The kill switch is read whenever it is
asked for, because it also has to stop what is in flight; it is set if the file or the state says
so, and it counts as set when the state can't say.
"""

from __future__ import annotations

from vagus.config import Mode, Settings
from vagus.errors import StateError
from vagus.model import Stop
from vagus.policy.stop import stop_file
from vagus.ports import Controls

_ORDER = tuple(Mode)  # off, shadow, suggest, auto


def in_force(declared: Mode, chosen: str | None) -> Mode:
    """``chosen`` if a person chose one, else ``declared``. A word that this version does not know
    was written by another, and counts as off."""
    if chosen is None:
        return declared
    return Mode(chosen) if chosen in _ORDER else Mode.OFF


def raises(present: Mode, wanted: Mode) -> bool:
    """Whether ``wanted`` lets Vagus do more than ``present``."""
    return _ORDER.index(wanted) > _ORDER.index(present)


class Steering:
    def __init__(self, settings: Settings, controls: Controls) -> None:
        self._declared = settings.mode
        self._file = settings.policy.kill_switch
        self._controls = controls
        self._mode = in_force(self._declared, controls.mode())

    def mode(self) -> Mode:
        """As it was at the last :meth:`refresh`."""
        return self._mode

    def refresh(self) -> bool:
        """Read the mode again; whether it is another now. One that can't be read stays."""
        before = self._mode
        try:
            self._mode = in_force(self._declared, self._controls.mode())
        except StateError:  # without its state Vagus can't write an intent, so it begins nothing
            return False
        return self._mode is not before

    def stop(self) -> Stop | None:
        """Who stopped everything and why, or None; as it is now."""
        stop = stop_file(self._file)
        if stop is not None:
            return stop
        try:
            return self._controls.stop()
        except StateError as error:
            return Stop("", f"the state can't be read, which counts as set: {error.message}")
