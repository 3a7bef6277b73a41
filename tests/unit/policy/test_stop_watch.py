"""The kill switch's file is in the ledger too: when it came, changed and went."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vagus.errors import StateError
from vagus.policy.stop import StopWatch


class Told:
    """The port Ledger, as a list; ``broken`` as a state that can't be written."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Mapping[str, object]]] = []
        self.broken = False

    def append(
        self, workflow: str, step: str, event: str, facts: Mapping[str, object] | None = None
    ) -> None:
        if self.broken:
            raise StateError("the disk is full")
        self.entries.append((event, facts or {}))


def test_each_change_is_told_once(tmp_path: Path) -> None:
    file, told = tmp_path / "vagus.stop", Told()
    watch = StopWatch(file, told)
    watch.look(1.0)
    assert told.entries == []
    file.write_text("Ada: migration until 14:00\n")
    for now in (2.0, 3.0):
        watch.look(now)
    file.write_text("Jo: not before Monday\n")
    watch.look(4.0)
    file.unlink()
    for now in (5.0, 6.0):
        watch.look(now)
    assert [(event, facts["by"]) for event, facts in told.entries] == [
        ("stopped", "Ada"),
        ("stopped", "Jo"),
        ("resumed", "whoever removed vagus.stop"),
    ]
    assert told.entries[0][1]["reason"] == "migration until 14:00"


def test_one_without_a_name_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "vagus.stop").write_text("")
    told = Told()
    StopWatch(tmp_path / "vagus.stop", told).look(1.0)
    assert [(event, facts["by"]) for event, facts in told.entries] == [
        ("stopped", "whoever wrote vagus.stop")
    ]


def test_what_can_not_be_written_now_is_told_later(tmp_path: Path) -> None:
    (tmp_path / "vagus.stop").write_text("Ada: freeze")
    told = Told()
    told.broken = True
    watch = StopWatch(tmp_path / "vagus.stop", told)
    watch.look(1.0)
    told.broken = False
    watch.look(2.0)
    watch.look(3.0)
    assert [event for event, _ in told.entries] == ["stopped"]
