from __future__ import annotations

from pathlib import Path

import pytest

from vagus.model import Stop
from vagus.policy.stop import stop_file


def test_absent_is_not_set(tmp_path: Path) -> None:
    assert stop_file(tmp_path / "vagus.stop") is None


@pytest.mark.parametrize(
    ("written", "owner", "reason"),
    [
        ("  Ada: migration until 14:00\nmore\n", "Ada", "migration until 14:00"),
        ("ada@example: no\r\n", "ada@example", "no"),
        ("migration until 14:00", "", "migration until 14:00"),
        ("w" * 61 + ": x", "", "w" * 61 + ": x"),
        (": nobody", "", "nobody"),
        ("x" * 1000, "", "x" * 200),
    ],
)
def test_the_first_line_says_who_and_why(
    tmp_path: Path, written: str, owner: str, reason: str
) -> None:
    file = tmp_path / "vagus.stop"
    file.write_text(written)
    assert stop_file(file) == Stop(owner, reason)


@pytest.mark.parametrize("written", ["", "\n\n", "Ada: ", "Ada:"])
def test_a_file_without_a_reason_is_set(tmp_path: Path, written: str) -> None:
    file = tmp_path / "vagus.stop"
    file.write_text(written)
    assert stop_file(file) is not None


def test_what_can_not_be_read_counts_as_set(tmp_path: Path) -> None:
    file = tmp_path / "vagus.stop"
    file.mkdir()
    assert "counts as set" in str(stop_file(file))
    file.rmdir()
    file.write_bytes(b"\xff\xfe")
    assert stop_file(file)
