"""Faults of a server's answers: a hop in front of the replica bends what passes through it.

The stack's supervisor must offer that (``POST /replicas/NAME/fault``), as the lab's does. What is
ordered lives in the memory of the replica's process, so a replica that was restarted since is
mended already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vagus.chaos.faults import Parameters, Target, only
from vagus.chaos.supervisor import NoSuchReplica, Supervisor
from vagus.chaos.undo import Note

CHAT, EMBEDDING = "model-server", "embedding-server"
NEEDS = "a supervisor that can make the replica misbehave"


@dataclass(frozen=True)
class Misbehave:
    """``name`` is the supervisor's name for it, ``known`` its parameters with what they are if
    nothing else is said."""

    name: str
    title: str
    causes: frozenset[str]
    known: Mapping[str, float] = field(default_factory=dict)
    kinds: tuple[str, ...] = (CHAT,)
    needs: str = NEEDS

    def refusal(self, target: Target) -> str:
        if not target.supervisor or "fault" not in target.row:
            return "its supervisor can't make it misbehave"
        if target.kind not in self.kinds:
            return f"it means nothing for a {target.kind or 'component of this kind'}"
        if target.row.get("state") != "running":
            return "it does not run"
        if target.row.get("fault"):
            return f"it misbehaves already: {target.row['fault']}"
        return ""

    def prepare(self, target: Target, parameters: Parameters) -> Note:
        return {
            "component": target.component,
            "replica": target.replica,
            "supervisor": target.supervisor,
            "token_file": target.token_file,
            "generation": target.number("generation"),
            **only(parameters, **self.known),
        }

    def does(self, note: Note) -> str:
        how = ", ".join(f"{key} {note[key]:g}" for key in self.known)
        return f"{self.name}{f' ({how})' if how else ''} by {note['component']}/{note['replica']}"

    def inject(self, note: Note) -> None:
        order: dict[str, object] = {"fault": self.name}
        _supervisor(note).misbehave(
            str(note["replica"]), order | {key: note[key] for key in self.known}
        )

    def took(self, note: Note) -> bool:
        row = _supervisor(note).replica(str(note["replica"]))
        return row.get("fault") == self.name

    def undo(self, note: Note) -> None:
        supervisor, name = _supervisor(note), str(note["replica"])
        try:
            row = supervisor.replica(name)
        except NoSuchReplica:
            return
        if row.get("generation") == note["generation"] and row.get("state") != "exited":
            supervisor.misbehave(name, {"fault": None})


def _supervisor(note: Note) -> Supervisor:
    return Supervisor(str(note["supervisor"]), str(note["token_file"]))


_SLOW = frozenset({"replica-slow", "replica-hung"})
_BOTH = (CHAT, EMBEDDING)

slow = Misbehave("slow", "a replica many times slower", _SLOW, {"factor": 10.0}, _BOTH)
slow_first_token = Misbehave(
    "slow-first-token", "the first token comes late", _SLOW, {"factor": 10.0}
)
slow_tokens = Misbehave("slow-tokens", "tokens trickle", _SLOW, {"factor": 10.0})
delay = Misbehave("delay", "the same wait before every answer", _SLOW, {"seconds": 3.0}, _BOTH)
cut = Misbehave(
    "cut", "streams cut midway", frozenset({"replica-cutting-streams"}), {"chunks": 3.0}
)
reset = Misbehave(
    "reset",
    "connections reset before the first byte",
    frozenset({"replica-erroring", "replica-cutting-streams", "replica-gone"}),
)
http_500 = Misbehave(
    "http-500",
    "HTTP 500 while the health check is fine",
    frozenset({"replica-erroring"}),
    kinds=_BOTH,
)
garbage = Misbehave(
    "garbage", "200 OK with garbage", frozenset({"replica-wrong-shape"}), kinds=_BOTH
)
garbage_json = Misbehave(
    "garbage-json", "the right shape with garbage in it", frozenset({"replica-nonsense"})
)
scrape_gone = Misbehave("scrape-gone", "its metrics can't be had", frozenset())
scrape_frozen = Misbehave("scrape-frozen", "its metrics stand still", frozenset())
scrape_lying = Misbehave(
    "scrape-lying", "its metrics are many times what is so", frozenset(), {"factor": 10.0}
)
