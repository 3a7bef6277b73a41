"""Rollouts: one at a time for a component, and a verdict that stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.errors import Conflict, StateError
from vagus.model import Rollout, Subject
from vagus.state.db import Database
from vagus.state.rollouts import Rollouts

ROLLOUT = Rollout("r-1", "chat", "v2", "v1", ("chat-3",), started_at=100.0, started_by="ana")


def test_a_rollout_is_kept_as_it_was_told(database: Database) -> None:
    rollouts = Rollouts(database)
    assert rollouts.start(ROLLOUT) == ROLLOUT
    assert rollouts.get("r-1") == ROLLOUT
    assert rollouts.latest() == {"chat": ROLLOUT}
    assert rollouts.get("r-2") is None


def test_of_a_component_one_rollout_at_a_time_is_under_way(database: Database) -> None:
    rollouts = Rollouts(database)
    rollouts.start(ROLLOUT)
    assert rollouts.start(replace(ROLLOUT, version="v9")) == ROLLOUT  # told twice
    with pytest.raises(Conflict, match="another rollout"):
        rollouts.start(replace(ROLLOUT, id="r-2"))
    rollouts.start(replace(ROLLOUT, id="e-1", component="embed"))
    rollouts.finish("r-1", "promoted")
    newer = rollouts.start(replace(ROLLOUT, id="r-2", started_at=200.0))
    assert rollouts.latest()["chat"] == newer


def test_the_first_verdict_stands(database: Database) -> None:
    rollouts = Rollouts(database)
    rollouts.start(ROLLOUT)
    done = rollouts.finish("r-1", "promoted")
    assert done.verdict == "promoted"
    assert done.finished_at == database.clock.now()
    assert rollouts.finish("r-1", "rolled-back") == done
    with pytest.raises(StateError, match="no such rollout"):
        rollouts.finish("r-9", "promoted")


def test_it_covers_the_replicas_that_got_the_version() -> None:
    assert ROLLOUT.covers(Subject("chat", "chat-3"))
    assert not ROLLOUT.covers(Subject("chat", "chat-1"))
    assert not ROLLOUT.covers(Subject("embed", "chat-3"))
