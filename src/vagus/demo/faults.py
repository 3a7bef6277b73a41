"""The faults that the demo knows, and where it puts them.

Each goes to another replica where it can, so that a cooldown from one does not delay the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vagus.errors import LabError


@dataclass(frozen=True)
class DemoFault:
    """One fault on one replica, or collection. ``fault`` is the lab's name for it."""

    name: str
    title: str
    replica: str
    fault: str
    standard: bool = True  # shown without --all
    store: str = ""  # of a collection: the store that keeps it, which is damaged

    @property
    def component(self) -> str:
        return self.store or self.replica.rsplit("-", 1)[0]

    @property
    def silent(self) -> bool:
        """Whether callers get an answer in time all the while, and the wrong one."""
        return bool(self.store)


FAULTS: tuple[DemoFault, ...] = (
    DemoFault("kill", "SIGKILL of a chat replica", "chat-1", "kill"),
    DemoFault("stop", "SIGSTOP of a chat replica", "chat-2", "stop"),
    DemoFault("slow", "a chat replica ten times slower", "chat-3", "slow"),
    DemoFault("garbage", "200 OK with garbage", "chat-1", "garbage"),
    DemoFault("cut", "streams cut midway", "chat-2", "cut"),
    DemoFault("kill-embed", "SIGKILL of an embedding replica", "embed-1", "kill"),
    DemoFault("http-500", "HTTP 500 while /health is fine", "chat-3", "http-500", standard=False),
    DemoFault("nonsense", "the right shape with garbage in it", "chat-1", "garbage-json", False),
    DemoFault(
        "slow-first-token", "the first token comes late", "chat-2", "slow-first-token", False
    ),
    DemoFault("slow-tokens", "tokens trickle", "chat-3", "slow-tokens", False),
    DemoFault(
        *("tombstones", "95 % of the rows deleted", "passages", "deleted-rows", False),
        store="vectors",
    ),
    DemoFault(
        *("index", "index degraded by new documents", "passages", "foreign-documents", False),
        store="vectors",
    ),
)


def choose(only: Sequence[str], *, everything: bool) -> tuple[DemoFault, ...]:
    """The faults to inject, in order. Raises LabError for a name that nobody knows."""
    if only:
        known = {fault.name: fault for fault in FAULTS}
        for name in only:
            if name not in known:
                raise LabError(f"no fault named {name!r}", mend=f"there are: {', '.join(known)}")
        return tuple(known[name] for name in only)
    return tuple(fault for fault in FAULTS if everything or fault.standard)
