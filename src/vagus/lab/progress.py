"""How long steps tell how far they are.

Setting up the lab downloads 90 MB and rewrites a model; starting it waits for a dozen processes.
Whoever asked for that wants to see it move: the command line draws a bar, CI prints lines, a test
wants silence. A step knows none of them, it calls a :class:`Progress`.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called by a step as often as it has something to say; must return at once."""

    def __call__(self, step: str, done: float, note: str = "") -> None:
        """``step`` is its stable short name, ``done`` runs from 0 to 1, ``note`` is for people."""
        ...


def silent(step: str, done: float, note: str = "") -> None:
    """The progress of somebody who doesn't watch."""
