"""The file of golden queries: added to without loss, read again when it changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vagus.errors import ConfigError
from vagus.golden import GoldenFile, GoldenQuery, add_golden, load_golden
from vagus.model import Subject, Vector
from vagus.telemetry.golden import GoldenQueries

PASSAGES = Subject("vectors", "passages")


def a_query(text: str, *expect: str) -> GoldenQuery:
    return GoldenQuery(collection=str(PASSAGES), query=text, expect=expect or ("1",))


def test_what_is_added_is_there_once(tmp_path: Path) -> None:
    file = tmp_path / "golden.yaml"
    assert load_golden(file) == ()
    assert add_golden(file, [a_query("a: b?"), a_query("ü\n#", "7", "8")]) == 2
    assert add_golden(file, [a_query("a: b?")]) == 0
    assert add_golden(file, [a_query("a: b?", "2")]) == 1, "it has another answer now"
    assert load_golden(file) == (a_query("a: b?", "2"), a_query("ü\n#", "7", "8"))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("queries:\n- {collection: passages, query: q, expect: ['1']}", "golden.yaml:2"),
        ("queries:\n- {collection: v/p, query: q, expect: []}", "golden.yaml:2"),
        ("queries:\n- {collection: v/p, query: q}", "golden.yaml:2"),
        ("questions: []", "golden.yaml:1"),
        ("queries: [", "golden.yaml"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_loses_nothing(
    tmp_path: Path, text: str, where: str
) -> None:
    file = tmp_path / "golden.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=where):
        add_golden(file, [a_query("q")])
    assert file.read_text() == text


def test_a_changed_file_is_read_again_and_a_broken_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "golden.yaml"
    golden = GoldenFile(file)
    assert golden.of(PASSAGES) == []
    add_golden(file, [a_query("q", "7")])
    assert golden.of(PASSAGES) == [("q", ("7",))]
    assert golden.of(Subject("vectors", "other")) == []
    file.write_text("queries: [")
    assert golden.of(PASSAGES) == [("q", ("7",))], "what was read before goes on being asked"
    file.unlink()
    assert golden.of(PASSAGES) == []


class Embeds:
    """Says the length of a text; or nothing, while it is away."""

    def __init__(self) -> None:
        self.away = False

    async def embed(self, component: str, text: str) -> Vector | None:
        assert component == "embed"
        return None if self.away else np.array([len(text)], dtype=np.float32)


async def test_they_are_asked_in_turn_and_embedded_each_time() -> None:
    def known(subject: Subject) -> Sequence[tuple[str, tuple[str, ...]]]:
        return [("one", ("1",)), ("three", ("3",))] if subject == PASSAGES else []

    embeds = Embeds()
    golden = GoldenQueries(known, {"vectors": ("embed", embeds)})
    asked = [await golden.next(PASSAGES) for _ in range(4)]
    assert sorted(query.text for query in asked if query) == ["one", "one", "three", "three"]
    assert all(query and query.vector[0] == len(query.text) for query in asked)
    assert await golden.next(Subject("vectors", "other")) is None
    assert await golden.next(Subject("elsewhere", "passages")) is None
    embeds.away = True
    assert await golden.next(PASSAGES) is None
