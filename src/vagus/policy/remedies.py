"""What the gate knows of each kind of remedy.

The gate trusts what a request *is* before what it is called. A restart that is labelled a return of
traffic ends a process all the same, so what counts as a recovery is decided here, by purpose and
action together. An action that nobody listed is taken for the worst kind.
"""

from __future__ import annotations

from vagus.model import Purpose, Request

MOVES_TRAFFIC = frozenset({"eject", "drain", "weight", "restore"})
"""These change who is asked, and touch no process: reversible within a second."""

TENDS_DATA = frozenset({"rebuild-index", "vacuum"})
"""These work on what a store keeps while it goes on serving: no process is touched, nobody loses
capacity, and no row is changed."""

TAKEN_BACK = MOVES_TRAFFIC | {"rebuild-index"}
"""What an undo can take back: to move traffic again, or to let the index that was kept serve."""

GIVES_BACK = frozenset({"weight", "restore"})
"""Those of them that can return traffic."""


def is_undo(request: Request) -> bool:
    """Whether it takes back what Vagus did. What ends a process or changes data is no undo,
    whatever it is called."""
    return request.purpose is Purpose.UNDO and request.remedy.action in TAKEN_BACK


def is_recovery(request: Request) -> bool:
    """Whether it gives traffic back, or takes back what Vagus did: the way out, which stays open
    when nothing new may be begun."""
    returns = request.purpose is Purpose.RETURN and request.remedy.action in GIVES_BACK
    return returns or is_undo(request)


def is_treatment(request: Request) -> bool:
    """Whether it touches a process or what a store keeps, whatever it is asked for as."""
    return request.remedy.action not in MOVES_TRAFFIC and not is_undo(request)


def tends_data(request: Request) -> bool:
    """Whether it works on what a store keeps while it serves, and touches no process."""
    return request.remedy.action in TENDS_DATA
