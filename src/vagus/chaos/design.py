"""Which experiments this stack calls for, and which of them somebody has an intent for.

Every component gets the faults that can be done to its replicas, asked of each fault and not
assumed. Replicas of a component are alike, so one stands for all of them. An edge of the dependency
graph gets nothing of its own: what a caller meets when a callee is broken is what the callee's
experiments show, *if* one of them promises something to that caller. So an edge is covered by
promises, and what nobody promised anything about is listed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vagus.chaos.faults import Target, load, names
from vagus.chaos.intents import ResilienceIntent
from vagus.topology import Topology


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fault that can be done to a component here, or why it can't."""

    component: str
    fault: str
    title: str
    refusal: str  # of every replica; empty: it can be done
    intents: tuple[str, ...]  # that are about it


@dataclass(frozen=True, slots=True)
class Edge:
    caller: str
    callee: str
    intents: tuple[str, ...]  # that break the callee and promise something to the caller


@dataclass(frozen=True, slots=True)
class Design:
    candidates: tuple[Candidate, ...]
    edges: tuple[Edge, ...]

    @property
    def uncovered(self) -> tuple[str, ...]:
        """What could be tried and no intent speaks of, in words."""
        faults = [
            f"{c.component}: {c.fault}" for c in self.candidates if not c.refusal and not c.intents
        ]
        edges = [f"{e.caller} -> {e.callee}" for e in self.edges if not e.intents]
        return (*faults, *edges)


def design(
    topology: Topology, found: Sequence[Target], intents: Sequence[ResilienceIntent]
) -> Design:
    """Touches nothing; raises ChaosError for a fault that can't be loaded."""
    return Design(tuple(_candidates(topology, found, intents)), tuple(_edges(topology, intents)))


def _candidates(
    topology: Topology, found: Sequence[Target], intents: Sequence[ResilienceIntent]
) -> Iterator[Candidate]:
    faults = [load(name) for name in names()]
    for component in topology.components:
        alike = [target for target in found if target.component == component]
        for fault in faults:
            refusals = [fault.refusal(target) for target in alike] or ["it has no replicas"]
            about = tuple(
                intent.name
                for intent in intents
                if intent.component == component and intent.disturbance.fault == fault.name
            )
            refusal = "" if "" in refusals else refusals[0]
            yield Candidate(component, fault.name, fault.title, refusal, about)


def _edges(topology: Topology, intents: Sequence[ResilienceIntent]) -> Iterator[Edge]:
    for caller, node in topology.components.items():
        for callee in node.depends_on:
            about = tuple(
                intent.name
                for intent in intents
                if intent.component == callee
                and any(promise.subject == caller for promise in intent.holds)
            )
            yield Edge(caller, callee, about)
