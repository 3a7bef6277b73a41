"""Who is spoken about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Numbers = Mapping[str, float]


def no_numbers() -> Numbers:
    return {}


@dataclass(frozen=True, slots=True, order=True)
class Subject:
    """A component of the stack, or one replica of it.

    A replica's identity is its name, never its address: a replacement on the same port is somebody
    else, and the same replica on another port is still itself.
    """

    component: str
    replica: str = ""

    def __str__(self) -> str:
        return f"{self.component}/{self.replica}" if self.replica else self.component

    def of(self, replica: str) -> Subject:
        """Another replica of the same component."""
        return Subject(self.component, replica)

    @classmethod
    def parse(cls, text: str) -> Subject:
        component, _, replica = text.partition("/")
        return cls(component, replica)
