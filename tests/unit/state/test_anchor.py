"""The head of the ledger, kept elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from vagus.clock import ManualClock
from vagus.errors import StateError
from vagus.state.anchor import EVERY, Anchor, read_anchors
from vagus.state.db import Database
from vagus.state.ledger import Head, Ledger


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def anchor(ledger: Ledger, tmp_path: Path, clock: ManualClock) -> Anchor:
    return Anchor(ledger, tmp_path / "anchor", clock)


def test_it_is_due_at_once_and_then_every_minute(anchor: Anchor, clock: ManualClock) -> None:
    assert anchor.due()
    assert not anchor.due()
    clock.advance(EVERY - 1)
    assert not anchor.due()
    clock.jump(-3600.0)
    clock.advance(1)
    assert anchor.due()
    assert not anchor.due()


def test_each_new_head_is_a_line(anchor: Anchor, ledger: Ledger, tmp_path: Path) -> None:
    anchor.write()
    assert not (tmp_path / "anchor").exists()  # nothing was said yet
    heads = []
    for step in ("1", "2"):
        ledger.append("w", step, "said")
        heads.append(ledger.head())
        anchor.write()
        anchor.write()
    assert read_anchors(tmp_path / "anchor") == heads
    lines = (tmp_path / "anchor").read_text().splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["1970-01-12T13:46:40Z"] * 2
    assert ledger.verify(*heads) == []


def test_every_head_is_told_in_the_log_too(anchor: Anchor, ledger: Ledger) -> None:
    ledger.append("w", "1", "said")
    with capture_logs() as logs:
        anchor.write()
    assert [(entry["event"], entry["head"]) for entry in logs] == [
        ("ledger.head", str(ledger.head()))
    ]


def test_without_a_file_the_log_alone_has_it(ledger: Ledger, clock: ManualClock) -> None:
    ledger.append("w", "1", "said")
    with capture_logs() as logs:
        Anchor(ledger, None, clock).write()
    assert [entry["event"] for entry in logs] == ["ledger.head"]


def test_what_can_not_be_anchored_is_said_and_tried_again(
    ledger: Ledger, tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "missing" / "anchor"
    anchor = Anchor(ledger, path, clock)
    ledger.append("w", "1", "said")
    with capture_logs() as logs:
        anchor.write()
    assert [entry["event"] for entry in logs] == ["ledger.not_anchored"]
    path.parent.mkdir()
    anchor.write()
    assert read_anchors(path) == [ledger.head()]


def test_a_state_that_does_not_answer_is_not_the_end(
    database: Database, anchor: Anchor, ledger: Ledger
) -> None:
    ledger.append("w", "1", "said")
    database.close()
    with capture_logs() as logs:
        anchor.write()
    assert [entry["event"] for entry in logs] == ["ledger.not_anchored"]


def test_a_line_that_was_being_written_when_the_power_went_is_left_out(tmp_path: Path) -> None:
    head = Head(3, "a" * 64)
    (tmp_path / "anchor").write_text(f"{head} 2026-01-01T00:00:00Z\n4:bbb")
    assert read_anchors(tmp_path / "anchor") == [head]


@pytest.mark.parametrize("line", ["", "x", "3", "3:short", f"-3:{'a' * 64}", f"3:{'A' * 64}"])
def test_a_file_that_something_else_wrote_to(tmp_path: Path, line: str) -> None:
    (tmp_path / "anchor").write_text(f"3:{'a' * 64} x\n{line}\n")
    with pytest.raises(StateError, match="is not a head of a ledger") as caught:
        read_anchors(tmp_path / "anchor")
    assert caught.value.where == f"{tmp_path}/anchor:2"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="can't be read"):
        read_anchors(tmp_path / "anchor")
