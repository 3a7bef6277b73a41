"""What must hold, as it is written."""

from __future__ import annotations

import pytest

from vagus.chaos.intents import parse_intents
from vagus.errors import ConfigError

GOOD = """\
intents:
  - name: chat-survives-a-kill
    subject: chat
    disturbance: kill
    holds:
      - {subject: rag, signal: errors, at_most: 5%}
      - {subject: rag, signal: time_to_first_token, at_most: 3s}
    detected_within: 10s
    recovered_within: 1m
    may: [eject, restart]
    must: [restart]
    blast_cap: 34%
  - name: chat-2-may-be-slow
    subject: chat/chat-2
    disturbance: {fault: slow, factor: 10}
"""


def test_what_is_written_is_understood() -> None:
    kill, slow = parse_intents(GOOD, name="intents.yaml")
    assert (kill.component, kill.replica, kill.lasts) == ("chat", "", 70.0)
    assert [str(promise) for promise in kill.holds] == [
        "errors of rag at most 5.0%",
        "time_to_first_token of rag at most 3 s",
    ]
    assert (slow.replica, slow.disturbance.parameters) == ("chat-2", {"factor": 10})
    assert slow.detected_within is None


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("at_most: 5%", "at_most: 5s", 6, "share"),
        ("at_most: 3s", "at_most: 3%", 7, "duration"),
        ("detected_within: 10s", "detected_within: 10", 8, "no unit"),
        ("must: [restart]", "must: [replace]", 2, "among what may"),
        ("    detected_within: 10s\n", "", 2, "detected_within"),
        ("chat-2-may-be-slow", "chat-survives-a-kill", 13, "twice"),
        ("subject: chat\n", "subject: ''\n", 3, ""),
        ("blast_cap: 34%", "blast_radius: 34%", 12, "blast_radius"),
    ],
)
def test_a_mistake_is_told_with_its_line(before: str, after: str, line: int, said: str) -> None:
    text = GOOD.replace(before, after, 1)
    assert text != GOOD
    with pytest.raises(ConfigError) as caught:
        parse_intents(text, name="intents.yaml")
    assert caught.value.where == f"intents.yaml:{line}"
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "intents: []", "intents: {}", "intents:\n - 1"])
def test_an_empty_file_is_a_mistake(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_intents(text, name="intents.yaml")
