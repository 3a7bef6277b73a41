"""Each guarantee of docs/explanation/safety.md names a test that exists; no guard is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vagus.policy.gate import GUARDS, name_of

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "explanation" / "safety.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_test_that_holds_a_guarantee_exists(file: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)


def test_every_guarantee_names_its_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.count("|") == 4]
    guarantees = [r for r in rows if not r.startswith(("| guarantee", "|---"))]
    assert len(guarantees) > 20
    assert [row for row in guarantees if "::" not in row] == []


@pytest.mark.parametrize("guard", [name_of(guard) for guard in GUARDS])
def test_every_guard_is_part_of_a_guarantee(guard: str) -> None:
    assert f"`{guard}`" in PAGE
