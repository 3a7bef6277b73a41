"""Records of what it takes to mend a fault, on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vagus.chaos.undo import SUFFIX, Shelf, UndoRecord
from vagus.errors import ChaosError


class Hours:
    """An uptime that a test sets."""

    def __init__(self, boot: str = "a", seconds: float = 100.0) -> None:
        self._boot = boot
        self.at = seconds

    def boot(self) -> str:
        return self._boot

    def seconds(self) -> float:
        return self.at


def record(uptime: Hours, injection: str = "inj-1") -> UndoRecord:
    return UndoRecord.made(
        injection,
        fault="stop",
        subject="chat/chat-1",
        does="SIGSTOP to process group 7",
        note={"pid": 7, "began": 99, "token_file": "", "quota": 0.5, "was": None},
        lease=30.0,
        uptime=uptime,
    )


def test_what_was_put_is_read_back(tmp_path: Path) -> None:
    shelf, made = Shelf(tmp_path / "undo"), record(Hours())
    shelf.put(made)
    assert Shelf(tmp_path / "undo").all() == (made,)
    shelf.mark_injected(made)
    assert shelf.get("inj-1") == replace(made, injected=True)
    assert [path.name for path in shelf.folder.iterdir()] == [f"inj-1{SUFFIX}"]


def test_dropping_is_once_and_a_dropped_one_is_not_marked(tmp_path: Path) -> None:
    shelf, made = Shelf(tmp_path), record(Hours())
    shelf.put(made)
    shelf.drop("inj-1")
    shelf.drop("inj-1")
    assert not shelf.mark_injected(made)
    assert shelf.all() == ()
    assert shelf.undone() == ("inj-1",)
    shelf.forget("inj-1")
    shelf.forget("inj-1")
    assert list(tmp_path.iterdir()) == []


def test_a_lease_ends_by_uptime_and_with_the_boot() -> None:
    uptime = Hours()
    made = record(uptime)
    assert made.left(uptime) == 30.0
    uptime.at += 29.0
    assert made.left(uptime) == 1.0
    uptime.at += 5.0
    assert made.left(uptime) == 0.0
    assert record(Hours()).left(Hours(boot="b")) == 0.0


def test_it_is_orphaned_once_its_process_is_no_more() -> None:
    made = record(Hours())
    assert not made.orphaned()
    assert replace(made, owner_began=made.owner_began + 1).orphaned()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "inj-1"}', '{"more": 1}'])
def test_what_cannot_be_read_is_told_and_never_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / f"inj-1{SUFFIX}").write_text(text)
    with pytest.raises(ChaosError, match="mend by hand"):
        Shelf(tmp_path).all()


def test_where_nothing_can_be_written_nothing_is_injected(tmp_path: Path) -> None:
    (tmp_path / "undo").write_text("a file where the folder should be")
    with pytest.raises(ChaosError, match="nothing is injected"):
        Shelf(tmp_path / "undo").put(record(Hours()))
