"""Faults: what can be broken here, and how it is mended.

Each is an entry point of the group ``vagus.faults``, so that a package of yours adds others. The
protocol has one idea: everything that injecting and undoing need is looked up *first* and put into
a plain note, which is what the undo record keeps. From then on the note is enough. So ``vagus chaos
plan`` can show exactly what would be touched, and a process that knows nothing else can undo it.

What a fault promises:

- ``refusal`` says why it can't be done to this target, in a sentence, and touches nothing.
- ``prepare`` reads what is needed, and touches nothing.
- ``inject`` returns once the fault is in, not when it is on its way.
- ``undo`` may be called at any time: when nothing was injected, a second time, by two processes at
  once, and after somebody else (Vagus!) has mended it another way. It returns when the fault is
  out, and raises when that can't be said: then it is called again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Protocol

from vagus.chaos.undo import Note
from vagus.errors import ChaosError

GROUP = "vagus.faults"

Parameters = Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True)
class Target:
    """One replica, and who has a hand on it."""

    component: str
    replica: str
    kind: str = ""  # model-server, embedding-server ...; "": the declaration does not say
    address: str = ""
    supervisor: str = ""  # where its API listens; "": there is none
    token_file: str = ""
    row: Mapping[str, object] = field(default_factory=dict)  # what the supervisor says of it

    def __str__(self) -> str:
        return f"{self.component}/{self.replica}"

    def number(self, key: str) -> int:
        """A whole number of the supervisor's row; 0 if it has none."""
        value = self.row.get(key)
        return value if isinstance(value, int) else 0


class Fault(Protocol):
    """One way to break one replica."""

    name: str
    title: str
    """In a few words, as in "SIGKILL of a replica"."""
    needs: str
    """What must be there for it, in a sentence."""
    causes: frozenset[str]
    """Which faults of the catalogue name it rightly when diagnosed; none: it is no sickness of the
    target, and nothing should be diagnosed."""

    def refusal(self, target: Target) -> str:
        """Why it can't be injected there, or empty. What can't be asked can't be done."""
        ...

    def prepare(self, target: Target, parameters: Parameters) -> Note:
        """Everything that :meth:`inject` and :meth:`undo` need. Raises ChaosError for a parameter
        that it does not have."""
        ...

    def does(self, note: Note) -> str:
        """Exactly what injecting will touch, in a sentence."""
        ...

    def inject(self, note: Note) -> None:
        """Raises ChaosError if it could not be done."""
        ...

    def took(self, note: Note) -> bool:
        """Whether it had the effect that it should: asked right after injecting. Raises ChaosError
        if that can't be said."""
        ...

    def undo(self, note: Note) -> None:
        """Raises ChaosError if it is not out for certain."""
        ...


def load(name: str) -> Fault:
    """The fault of this name. Raises ChaosError if there is none, or it can't be loaded."""
    points = entry_points(group=GROUP)
    found = next((point for point in points if point.name == name), None)
    if found is None:
        known = ", ".join(sorted(point.name for point in points))
        raise ChaosError(f"there is no fault {name!r}", mend=f"there are: {known}")
    try:
        fault: Fault = found.load()
    except (ImportError, AttributeError) as error:
        raise ChaosError(f"the fault {name!r} can't be loaded: {error}") from error
    return fault


def names() -> tuple[str, ...]:
    """Every fault that is installed."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def only(parameters: Parameters, **known: float) -> dict[str, float]:
    """``known`` with what ``parameters`` say instead. Raises ChaosError for any other, and for what
    is no number."""
    values = dict(known)
    for key, value in parameters.items():
        if key not in known:
            raise ChaosError(
                f"this fault has no parameter {key!r}",
                mend=f"it has {', '.join(known)}" if known else "it has none",
            )
        if isinstance(value, str):
            raise ChaosError(f"{key} is {value!r}", mend="write a number")
        values[key] = value
    return values
