"""kill -9, and SIGSTOP, in the middle of healing: the incident goes on, no action is repeated, and
the ledger holds the whole story without a break. ``python -m benchmarks crash`` tries every cell;
here are those that are most likely to be different from each other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vagus.testing.crashing import (
    SCENARIOS,
    Cell,
    Ending,
    Nursery,
    representative,
    steps,
)

pytestmark = pytest.mark.crash

AT_ONCE = 2
STOPPED_AT = ("intents.begin", "call Acting._order", "Steps.act", "Steps.conclude")


@pytest.fixture(scope="module")
def nurseries() -> Iterator[list[Nursery]]:
    memory = Path(
        "/dev/shm"
    )  # a SIGKILL loses nothing that was written, wherever it was written to
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        made = [Nursery(Path(folder) / str(number)) for number in range(AT_ONCE)]
        try:
            yield made
        finally:
            for nursery in made:
                nursery.close()


def try_all(nurseries: list[Nursery], cells: list[Cell]) -> dict[Cell, Ending]:
    """Each nursery takes its part of the cells."""

    def work(number: int) -> dict[Cell, Ending]:
        return {cell: nurseries[number].try_cell(cell) for cell in cells[number::AT_ONCE]}

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return {
            cell: ending
            for part in threads.map(work, range(AT_ONCE))
            for cell, ending in part.items()
        }


def wrong(endings: dict[Cell, Ending]) -> dict[str, Ending]:
    return {
        str(cell): ending
        for cell, ending in endings.items()
        if not ending.reached
        or ending.lost(SCENARIOS[cell.scenario])
        or ending.repeated
        or ending.breaks
    }


def test_every_step_is_reached_by_a_scenario(nurseries: list[Nursery]) -> None:
    """So that a new step is in the matrix, or this says that it isn't."""
    reached = {p.name for s in SCENARIOS for p in nurseries[0].points(s) if p.is_transition}
    assert steps() <= reached


def test_killed_at_any_transition_the_incident_goes_on_and_nothing_is_repeated(
    nurseries: list[Nursery],
) -> None:
    points = representative(nurseries[0].points("restarted"))
    endings = try_all(nurseries, [Cell("restarted", point) for point in points])
    assert len(endings) > 40
    assert wrong(endings) == {}


def test_killed_while_people_think_nobody_is_asked_twice_and_their_yes_is_heard(
    nurseries: list[Nursery],
) -> None:
    waits = ("Steps.propose", "Steps.hear", "DBOS.recv", "proposals.open", "proposals.get")
    points = [p for p in nurseries[0].points("approved") if p.name in waits and not p.occurrence]
    assert {p.name for p in points} == set(waits)
    endings = try_all(nurseries, [Cell("approved", point) for point in points])
    assert wrong(endings) == {}


def test_stopped_and_continued_it_goes_on_and_repeats_nothing(nurseries: list[Nursery]) -> None:
    points = [
        point
        for point in representative(nurseries[0].points("restarted"))
        if point.name in STOPPED_AT and point.moment != "before"
    ]
    endings = try_all(nurseries, [Cell("restarted", point, "stop") for point in points])
    assert wrong(endings) == {}
