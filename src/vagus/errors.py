"""Every error Vagus raises on purpose::

    VagusError                     has one line for the user: what is wrong, where, and the mend
    ├── ConfigError                vagus.yaml (or a playbook) says something that can't be meant
    ├── MissingExtra               a feature needs packages that are not installed
    ├── StateError                 the state can't be opened, is corrupt, or is from a newer version
    │   ├── StateUnavailable       it can't be read or written at the moment; that may pass
    │   ├── Conflict               somebody else changed the row first; read it again
    │   └── NotFound               nothing has this name
    ├── LeaseLost                  this process no longer owns the target: stop at once
    ├── SourceError                a target could not be read
    │   ├── TargetUnreachable      nothing answers there
    │   └── MalformedData          something answers, but not with what was asked for
    ├── ActionError                the world refused an action
    │   ├── NotAcknowledged        the action was sent; whether it took effect is unknown
    │   └── UnderWay               the action goes on and is not over yet
    ├── ChaosError                 an experiment can't be run, or its fault not be mended
    └── LabError                   the lab could not be set up, started or reached

A user's mistake is one line with the mend and never a traceback: the command line prints
``str(error)`` of any :class:`VagusError` and exits with :attr:`VagusError.exit_code`.
"""

from __future__ import annotations


class VagusError(Exception):
    """Base of all errors that are meant for the user.

    ``message`` says what is wrong, ``where`` names the place (file:line, URL, table) and ``mend``
    says what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        mend = f" ({self.mend})" if self.mend else ""
        return f"{place}{self.message}{mend}"


class ConfigError(VagusError):
    """The configuration can't be used as written."""

    exit_code = 2


class MissingExtra(VagusError):
    """Packages of an optional extra are not installed."""

    exit_code = 2

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed",
            mend=f"pip install 'vagus[{extra}]'",
        )
        self.extra = extra


class StateError(VagusError):
    """The state database can't be opened or trusted."""

    exit_code = 3


class StateUnavailable(StateError):
    """The state can't be read or written at the moment, and that may pass. Whoever can wait asks
    again (what was being written may be there by then, or not); nobody may act meanwhile."""


class Conflict(StateError):
    """A compare-and-set met a newer version of the row."""


class NotFound(StateError):
    """Nothing in the state has the name that was given."""


class LeaseLost(VagusError):
    """Another process holds the lease now, or leads; this one must stop acting."""

    exit_code = 4


class SourceError(VagusError):
    """A source of signals could not be read; the loop goes on for the others."""


class TargetUnreachable(SourceError):
    """Nothing answers at the address, or not in time."""


class MalformedData(SourceError):
    """The answer is not in the expected format."""


class ActionError(VagusError):
    """An actuator could not carry out what was asked."""


class NotAcknowledged(ActionError):
    """The action was sent but its effect is unknown: it is verified, never repeated."""


class ChaosError(VagusError):
    """An experiment can't be run as asked, or a fault could not be injected or undone."""


class UnderWay(ActionError):
    """The action was taken up and is not over yet: ask again."""


class LabError(VagusError):
    """The lab could not be set up, started or reached."""
