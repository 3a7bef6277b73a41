"""The live view tells condition by shape and word, and never invents a number."""

from __future__ import annotations

import io

from rich.console import Console

from vagus.cli.live import Told, screen, spark
from vagus.model import Cause, Incident, IncidentState, SensesReport, Subject
from vagus.narrative import narrate
from vagus.snapshot import ReplicaView, Snapshot, Vitals

CHAT_2 = Subject("chat", "chat-2")


def drawn(snapshot: Snapshot, *told: Told) -> str:
    out = io.StringIO()
    Console(file=out, width=120, color_system=None).print(screen(snapshot, told))
    return out.getvalue()


def snapshot(**changes: object) -> Snapshot:
    values: dict[str, object] = {
        "at": 1.7e9,
        "mode": "auto",
        "stopped": None,
        "senses": SensesReport(trusted=True),
        "replicas": (
            ReplicaView(
                CHAT_2, "sick", 1.0, ("slow",), Vitals(2.0, 0.5, 0.21, 1.9, 1.0, (0.1, None, 0.2))
            ),
            ReplicaView(Subject("chat", "chat-3"), "ok", 1.0, (), Vitals()),
        ),
        "incidents": (),
    }
    return Snapshot(**(values | changes))  # type: ignore[arg-type]


def test_condition_reads_without_colour() -> None:
    text = drawn(snapshot())
    assert "✖ sick" in text
    assert "● ok" in text
    assert "210 ms" in text
    assert "1.90 s" in text


def test_what_was_not_seen_is_a_dash() -> None:
    line = next(line for line in drawn(snapshot()).splitlines() if "chat-3" in line)
    assert line.count("–") >= 4


def test_distrust_and_the_kill_switch_are_in_plain_sight() -> None:
    text = drawn(
        snapshot(stopped="release freeze", senses=SensesReport(False, "5 of 6 targets vanished"))
    )
    assert "holding still: 5 of 6 targets vanished" in text
    assert "kill switch: release freeze" in text


def test_incidents_and_the_story_are_shown() -> None:
    incident = Incident(
        "i1", CHAT_2, Cause("replica-slow", CHAT_2, 0.9), IncidentState.ESCALATED, 1.7e9 - 12,
        note="the floor holds",
    )  # fmt: skip
    told = Told(1.7e9, narrate("escalated", {"subject": "chat/chat-2", "note": "the floor holds"}))
    text = drawn(snapshot(incidents=(incident,)), told)
    assert "needs you" in text
    assert "12 s" in text
    assert "a person is needed for chat/chat-2: the floor holds" in text


def test_a_spark_keeps_its_gaps() -> None:
    assert spark([1.0, None, 2.0]) == "▄ █"
    assert spark([None, None]) == ""


def test_an_event_nobody_taught_is_told_by_its_name() -> None:
    assert narrate("lease.lost", {"subject": "chat/chat-2"}).text == "lease.lost chat/chat-2"
