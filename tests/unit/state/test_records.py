from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import pytest

from vagus.errors import StateError
from vagus.model import (
    Cause,
    Check,
    Decision,
    GuardRuling,
    Purpose,
    Remedy,
    Request,
    Ruling,
    Subject,
    Tier,
)
from vagus.state import records

CHAT1 = Subject("chat", "chat-1")
REQUEST = Request(
    Purpose.RETURN, "inc-1", 2, 3, 1, Remedy("weight", CHAT1, 0.1 + 0.2), Cause("x", CHAT1, 1.0),
    Tier.R2,
)  # fmt: skip


@pytest.mark.parametrize(
    "value",
    [
        REQUEST,
        Check(CHAT1, 3, 5.0, 60.0, None, 0.05),
        Check(CHAT1, 3, 5.0, 60.0, 1e-9),
        Ruling(Decision.ASK, ()),
        Ruling(
            Decision.DENY,
            (
                GuardRuling("a", Decision.ALLOW, "fine"),
                GuardRuling("b", Decision.DENY, "…", 0.1, MappingProxyType({"n": float("inf")})),
            ),
        ),
    ],
)
def test_what_is_written_is_read_back(value: Request | Check | Ruling) -> None:
    assert records.decode(type(value), records.canonical(value)) == value


def test_enums_are_their_strings() -> None:
    text = records.canonical(REQUEST)
    assert '"purpose":"return"' in text
    assert '"tier":"R2"' in text
    assert '"decision":"DENY"' in records.canonical(Ruling(Decision.DENY, ()))


def test_equal_values_give_equal_text() -> None:
    assert records.canonical({"b": 1, "a": [1, 2]}) == '{"a":[1,2],"b":1}'
    assert records.canonical({"a": (1, 2), "b": 1}) == '{"a":[1,2],"b":1}'


@dataclass(frozen=True)
class Grown:
    name: str
    added: int = 7


def test_a_field_that_an_older_row_lacks_takes_its_default() -> None:
    assert records.decode(Grown, '{"name":"x"}') == Grown("x", 7)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"name":1}',
        '{"name":"x","added":true}',
        '{"name":"x","added":1.5}',
        '{"name":"x","other":1}',
        '{"name":null}',
    ],
)
def test_what_does_not_fit_is_an_error(text: str) -> None:
    with pytest.raises(StateError, match="Grown can't be read back"):
        records.decode(Grown, text)
