"""What changed just before is blamed, where it reached and while it is in question."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.diagnosis.changes import BLAMED_AFTER, blame
from vagus.model import Cause, Rollout, Subject

CAUSE = Cause("replica-nonsense", Subject("chat", "chat-3"), 0.8, "it talks nonsense")
ROLLOUT = Rollout("r-1", "chat", "v2", "v1", ("chat-3",), started_at=100.0, started_by="ana")


def test_a_rollout_under_way_is_the_cause_of_what_its_replica_suffers() -> None:
    blamed = blame(CAUSE, {"chat": ROLLOUT}, 140.0)
    assert (blamed.fault, blamed.before) == ("version-regressed", "v1")
    assert blamed.subject == CAUSE.subject
    assert blamed.confidence == CAUSE.confidence
    assert "it talks nonsense" in blamed.sentence
    assert "v2 in place of v1 40 s ago" in blamed.sentence


@pytest.mark.parametrize(
    "cause",
    [
        replace(CAUSE, subject=Subject("chat", "chat-1")),  # it kept the old version
        replace(CAUSE, subject=Subject("embed", "chat-3")),
        replace(CAUSE, subject=Subject("chat")),
    ],
)
def test_it_is_not_blamed_where_it_did_not_reach(cause: Cause) -> None:
    assert blame(cause, {"chat": ROLLOUT}, 140.0) == cause


@pytest.mark.parametrize(
    ("verdict", "after", "blamed"),
    [
        ("promoted", BLAMED_AFTER - 1, True),
        ("promoted", BLAMED_AFTER, False),
        ("rolled-back", 1.0, False),
        ("abandoned", 1.0, False),
    ],
)
def test_once_finished_it_is_blamed_for_a_while_if_it_stayed(
    verdict: str, after: float, blamed: bool
) -> None:
    finished = replace(ROLLOUT, finished_at=500.0, verdict=verdict)
    assert (blame(CAUSE, {"chat": finished}, 500.0 + after) != CAUSE) is blamed
