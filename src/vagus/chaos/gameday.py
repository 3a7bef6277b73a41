"""A game day: a set of experiments, one at a time, from calm to calm.

It ends itself when it must: with the first experiment that the gate refuses (the budget is full, a
person said stop), that was aborted (a real incident began, or somebody took it in hand), or before
which the stack does not come to rest. What is left of the set then is not tried, and that is said.
A deviation is no reason to end: it is what a game day is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vagus.chaos.experiment import Experiment
from vagus.chaos.intents import ResilienceIntent
from vagus.chaos.plan import plan
from vagus.chaos.result import Result, Results, Verdict
from vagus.chaos.targets import targets
from vagus.chaos.undo import Shelf
from vagus.chaos.watching import Vagus
from vagus.clock import Clock
from vagus.config import Settings
from vagus.errors import TargetUnreachable, VagusError
from vagus.model import VAGUS
from vagus.topology import Topology

CALM_WITHIN = 180.0  # s for the stack to come to rest before the next experiment

ENDS = (Verdict.ABORTED, Verdict.REFUSED, Verdict.ERROR, Verdict.BASELINE_NOT_MET)
"""Verdicts after which going on would be wrong, or would find the same again."""


@dataclass(frozen=True)
class Hands:
    """What experiments work with."""

    settings: Settings
    vagus: Vagus
    shelf: Shelf
    results: Results
    clock: Clock
    tell: Callable[[str], None]


@dataclass
class GameDay:
    """What came of it; filled as it goes, so that a game day that is interrupted has its report."""

    results: list[Result] = field(default_factory=list)
    ended: str = ""  # why it ended before its end
    earned: tuple[str, ...] = ()  # licences, each in a sentence
    lost: tuple[str, ...] = ()

    async def play(self, intents: Sequence[ResilienceIntent], repeat: int, hands: Hands) -> GameDay:
        """Each of ``intents``, ``repeat`` times, the replicas of a component in turn."""
        _tell_of_the_dead(hands)
        before = _licences(hands.vagus)
        try:
            await self._all(intents, repeat, hands)
        except asyncio.CancelledError:
            self.ended = "it was told to stop"
        after = _licences(hands.vagus)
        if before is not None and after is not None:
            self.earned = tuple(said for name, said in after.items() if name not in before)
            self.lost = tuple(said for name, said in before.items() if name not in after)
        return self

    async def _all(self, intents: Sequence[ResilienceIntent], repeat: int, hands: Hands) -> None:
        for turn in range(repeat):
            for intent in intents:
                result = await self._one(intent, turn, hands)
                self.results.append(result)
                hands.tell(f"{result.verdict.value}: {result.because}")
                if result.verdict in ENDS:
                    self.ended = f"{intent.name}: {result.verdict.value}: {result.because}"
                    return

    async def _one(self, intent: ResilienceIntent, turn: int, hands: Hands) -> Result:
        chosen = plan(intent, targets(hands.settings), turn=turn)
        hands.tell(f"{intent.name}: {chosen.does}")
        experiment = Experiment(
            chosen,
            hands.vagus,
            Topology.declared(hands.settings),
            hands.shelf,
            hands.results,
            hands.clock,
            hands.tell,
        )
        if self.results:
            await experiment.until_calm(CALM_WITHIN)
        return await experiment.run()


def _tell_of_the_dead(hands: Hands) -> None:
    """End the injections whose experiment was killed and whose fault is out: Vagus would take it to
    be in until its lease is over, and let no other one in."""
    body = {"verdict": Verdict.ABORTED.value, "note": "its experiment was killed; the fault is out"}
    for injection in hands.shelf.undone():
        try:
            hands.vagus.post("injections", injection, "end", body=body)
        except TargetUnreachable:
            return
        except VagusError as error:  # it is not known there (any more)
            hands.tell(f"{injection}: {error}")
        hands.shelf.forget(injection)


def _licences(vagus: Vagus) -> Mapping[str, str] | None:
    """Those that are valid now and were earned, by id, each in a sentence; None: nobody answers."""
    try:
        rows: Sequence[Mapping[str, Any]] = vagus.get("licences")["items"]
    except VagusError:
        return None
    return {
        row["id"]: f"{row['action']} on {row['component']} for {row['fault']}: {row['reason']}"
        for row in rows
        if row["valid"] and row["issued_by"] == VAGUS
    }
