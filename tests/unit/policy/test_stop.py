from __future__ import annotations

from pathlib import Path

from vagus.policy.stop import stop_reason


def test_absent_is_not_set(tmp_path: Path) -> None:
    assert stop_reason(tmp_path / "vagus.stop") is None


def test_the_first_line_is_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "vagus.stop"
    file.write_text("  Ada: migration until 14:00\nmore\n")
    assert stop_reason(file) == "Ada: migration until 14:00"
    file.write_text("x" * 1000)
    assert len(stop_reason(file) or "") == 200


def test_an_empty_file_is_set(tmp_path: Path) -> None:
    file = tmp_path / "vagus.stop"
    file.touch()
    assert "gives no reason" in (stop_reason(file) or "")


def test_what_can_not_be_read_counts_as_set(tmp_path: Path) -> None:
    file = tmp_path / "vagus.stop"
    file.mkdir()
    assert "counts as set" in (stop_reason(file) or "")
    file.rmdir()
    file.write_bytes(b"\xff\xfe")
    assert stop_reason(file)
