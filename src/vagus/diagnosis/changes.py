"""What changed just before: a replica that fell ill with a new version has the version for a cause.

A restart would heal such a replica for as long as it takes to load the same weights again, so the
change has to be named before the symptom is treated. It is blamed only where it reached: replicas
that got the new version, after they got it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vagus.model import Cause, Rollout

REGRESSED = "version-regressed"
BLAMED_AFTER = 1800.0  # s for which a finished rollout still explains what its replicas suffer


def blame(cause: Cause, rollouts: Mapping[str, Rollout], now: float) -> Cause:
    """``cause``, or the rollout that brought it. ``rollouts``: the latest of each component."""
    rollout = rollouts.get(cause.subject.component)
    if rollout is None or not _in_question(rollout, now) or not rollout.covers(cause.subject):
        return cause
    ago = now - rollout.started_at
    sentence = (
        f"{cause.sentence} - it was given {rollout.version} in place of {rollout.previous} "
        f"{ago:.0f} s ago"
    )
    return replace(cause, fault=REGRESSED, sentence=sentence, before=rollout.previous)


def _in_question(rollout: Rollout, now: float) -> bool:
    if rollout.finished_at is None:
        return True
    return rollout.verdict == "promoted" and now - rollout.finished_at < BLAMED_AFTER
