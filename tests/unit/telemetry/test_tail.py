"""Files that grow, are cut, rotated, truncated and taken away while they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vagus.telemetry import tail
from vagus.telemetry.tail import Tail


class Followed:
    def __init__(self, folder: Path, *, before: str | None = None) -> None:
        self.path = folder / "access.jsonl"
        if before is not None:
            self.path.write_text(before)
        self.lost: list[str] = []
        self.tail = Tail(self.path, self.lost.append)

    def append(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def lines(self) -> list[str]:
        """All that can be read now."""
        found, more = [], True
        while more:
            lines, more = self.tail.read()
            found += [line.decode() for line in lines]
        return found


Follow = Callable[..., Followed]


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Follow]:
    made: list[Followed] = []

    def one(before: str | None = None) -> Followed:
        made.append(Followed(tmp_path, before=before))
        return made[-1]

    yield one
    for followed in made:
        followed.tail.close()


@pytest.fixture
def followed(follow: Follow) -> Followed:
    found = follow(before="")
    assert found.lines() == []
    return found


def test_lines_as_they_come(followed: Followed) -> None:
    followed.append("a\nb\n")
    assert followed.lines() == ["a", "b"]
    assert followed.lines() == []
    followed.append("\nc\n")
    assert followed.lines() == ["c"]
    assert followed.lost == []


def test_what_was_there_before_is_history(follow: Follow) -> None:
    followed = follow(before="old\n")
    assert followed.lines() == []
    followed.append("new\n")
    assert followed.lines() == ["new"]


def test_a_file_that_ends_in_the_middle_of_a_line(follow: Follow) -> None:
    followed = follow(before="old\nhal")
    assert followed.lines() == []
    followed.append("f\nnew\n")
    assert followed.lines() == ["new"]


def test_a_file_that_appears_later_is_read_from_its_beginning(follow: Follow) -> None:
    followed = follow()
    assert followed.lines() == []
    followed.append("a\n")
    assert followed.lines() == ["a"]


def test_a_line_cut_in_half_is_kept_until_its_rest_comes(followed: Followed) -> None:
    for piece, expected in (("on", []), ("e\ntw", ["one"]), ("", []), ("o\n", ["two"])):
        followed.append(piece)
        assert followed.lines() == expected


def test_rotation_loses_nothing_of_either_file(followed: Followed) -> None:
    followed.append("a\n")
    assert followed.lines() == ["a"]
    followed.append("b\n")  # not read yet when it is rotated
    followed.path.rename(followed.path.with_suffix(".1"))
    assert followed.lines() == ["b"]
    assert followed.lines() == []  # not made anew yet
    followed.append("c\n")
    assert followed.lines() == ["c"]
    assert followed.lost == []


def test_a_line_whose_rest_was_rotated_away_is_told(followed: Followed) -> None:
    followed.append("ha")
    assert followed.lines() == []
    followed.path.unlink()
    followed.append("c\n")
    assert followed.lines() == ["c"]
    assert len(followed.lost) == 1


def test_truncation_starts_over(followed: Followed) -> None:
    followed.append("a\nb\n")
    assert followed.lines() == ["a", "b"]
    followed.path.write_text("c\n")
    assert followed.lines() == ["c"]


def test_a_line_that_does_not_end_is_given_up_once(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "LONGEST_LINE", 10)
    for _ in range(5):
        followed.append("x" * 8)
        assert followed.lines() == []
    followed.append("x\nnext\n")
    assert followed.lines() == ["next"]
    followed.append("y" * 11 + "\nlast\n")
    assert followed.lines() == ["last"]
    assert len(followed.lost) == 2


def test_a_backlog_comes_in_pieces(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "CHUNK", 4)
    followed.append("one\ntwo\nthree\n")
    pieces = []
    more = True
    while more:
        lines, more = followed.tail.read()
        pieces.append(lines)
    assert [line for piece in pieces for line in piece] == [b"one", b"two", b"three"]
    assert len(pieces) > 2


def test_a_folder_in_its_place_is_an_error_that_passes(follow: Follow) -> None:
    followed = follow()
    followed.path.mkdir()
    with pytest.raises(OSError, match="directory"):
        followed.lines()
    followed.path.rmdir()
    followed.append("a\n")
    assert followed.lines() == ["a"]
