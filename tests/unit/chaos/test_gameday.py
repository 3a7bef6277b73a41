"""A game day goes from calm to calm, and knows when to end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from vagus.chaos import gameday
from vagus.chaos.gameday import GameDay, Hands
from vagus.chaos.intents import ResilienceIntent
from vagus.chaos.result import Result, Results, Verdict
from vagus.chaos.undo import Shelf
from vagus.clock import ManualClock
from vagus.errors import TargetUnreachable
from vagus.testing.office import settings_for

INTENTS = tuple(
    ResilienceIntent.model_validate({"name": name, "subject": "chat", "disturbance": "kill"})
    for name in ("one", "two")
)

PASSED = Result("exp-1", "one", "kill", "chat/chat-1", Verdict.PASSED, "it recovered", 0.0, 1.0)


@dataclass
class Office:
    """Which licences are valid, and whether anybody answers."""

    licences: list[dict[str, Any]] = field(default_factory=list)
    deaf: bool = False
    told: list[tuple[str, ...]] = field(default_factory=list)

    def get(self, *path: str, **query: str) -> Any:
        if self.deaf:
            raise TargetUnreachable("no running Vagus answers")
        return {"items": list(self.licences)}

    def post(self, *path: str, body: Mapping[str, object]) -> Any:
        if self.deaf:
            raise TargetUnreachable("no running Vagus answers")
        self.told.append((*path, str(body["verdict"])))

    def status(self) -> Any:
        raise NotImplementedError


class Scripted(GameDay):
    """Experiments that end as the script says."""

    def __init__(self, *verdicts: Verdict, during: Any = lambda: None) -> None:
        super().__init__()
        self.tried: list[tuple[str, int]] = []
        self._verdicts = list(verdicts)
        self._during = during

    async def _one(self, intent: ResilienceIntent, turn: int, hands: Hands) -> Result:
        self.tried.append((intent.name, turn))
        self._during()
        if not self._verdicts:
            raise asyncio.CancelledError
        return replace(PASSED, intent=intent.name, verdict=self._verdicts.pop(0))


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def hands(tmp_path: Path, office: Office) -> Hands:
    return Hands(
        settings_for(tmp_path),
        office,
        Shelf(tmp_path / "undo"),
        Results(tmp_path / "results"),
        ManualClock(),
        lambda line: None,
    )


async def test_all_are_tried_so_many_times(hands: Hands) -> None:
    day = Scripted(*[Verdict.PASSED] * 4)
    await day.play(INTENTS, 2, hands)
    assert day.tried == [("one", 0), ("two", 0), ("one", 1), ("two", 1)]
    assert day.ended == ""


async def test_a_deviation_is_no_reason_to_end(hands: Hands) -> None:
    day = Scripted(Verdict.DEVIATED, Verdict.PASSED)
    await day.play(INTENTS, 1, hands)
    assert (len(day.results), day.ended) == (2, "")


@pytest.mark.parametrize("verdict", gameday.ENDS)
async def test_what_ends_it_is_said(hands: Hands, verdict: Verdict) -> None:
    day = Scripted(verdict, Verdict.PASSED)
    await day.play(INTENTS, 3, hands)
    assert len(day.tried) == 1
    assert day.ended.startswith(f"one: {verdict.value}")


async def test_an_interrupted_one_has_its_report(hands: Hands) -> None:
    day = Scripted(Verdict.PASSED)
    await day.play(INTENTS, 1, hands)
    assert (len(day.results), day.ended) == (1, "it was told to stop")


def licence(name: str, by: str = "vagus", *, valid: bool = True) -> dict[str, Any]:
    return {"id": name, "action": "restart", "component": "chat", "fault": "replica-gone",
            "reason": name, "valid": valid, "issued_by": by}  # fmt: skip


async def test_licences_that_came_and_went_are_told(hands: Hands, office: Office) -> None:
    office.licences = [licence("old"), licence("kept")]

    def meanwhile() -> None:
        office.licences = [licence("old", valid=False), licence("kept"), licence("new"),
                           licence("by-hand", by="ada")]  # fmt: skip

    day = Scripted(Verdict.PASSED, Verdict.PASSED, during=meanwhile)
    await day.play(INTENTS, 1, hands)
    assert day.earned == ("restart on chat for replica-gone: new",)
    assert day.lost == ("restart on chat for replica-gone: old",)


async def test_when_nobody_answers_nothing_is_said_to_be_lost(hands: Hands, office: Office) -> None:
    office.licences = [licence("old")]

    def vanish() -> None:
        office.deaf = True

    day = Scripted(Verdict.PASSED, Verdict.PASSED, during=vanish)
    await day.play(INTENTS, 1, hands)
    assert day.lost == ()


@pytest.mark.parametrize("deaf", [False, True])
async def test_vagus_is_told_of_experiments_that_were_killed(
    hands: Hands, office: Office, deaf: bool
) -> None:
    hands.shelf.folder.mkdir()
    (hands.shelf.folder / "inj-1.undone.json").write_text("{}")
    office.deaf = deaf
    await Scripted(Verdict.PASSED, Verdict.PASSED).play(INTENTS, 1, hands)
    assert office.told == ([] if deaf else [("injections", "inj-1", "end", "aborted")])
    assert hands.shelf.undone() == (("inj-1",) if deaf else ())
