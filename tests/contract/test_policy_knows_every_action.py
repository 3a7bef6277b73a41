"""Policy and remediation are different steps and import nothing of each other, but speak of the
same actions: an action that policy doesn't know is never automated, and the two must agree on what
touches a process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from vagus.clock import ManualClock
from vagus.model import Aspect, Override, Subject
from vagus.policy.remedies import GIVES_BACK, MOVES_TRAFFIC
from vagus.policy.tiers import FLOORS
from vagus.remediation import NAMES, actions
from vagus.remediation.action import Action, World
from vagus.topology import Topology


class NoOverrides:
    """Actions are only looked at here."""

    def put(self, override: Override) -> None:
        raise NotImplementedError

    def drop(self, incident: str, subject: Subject, aspect: Aspect | None = None) -> None:
        raise NotImplementedError

    def all(self) -> Sequence[Override]:
        return ()


def every_action() -> Mapping[str, Action]:
    world = World(
        clock=ManualClock(),
        declared=Topology({}),
        overrides=NoOverrides(),
        gateway=None,
        routed=lambda component: False,
        runtimes={},
    )
    return actions(world)


def test_every_action_has_a_tier() -> None:
    assert set(FLOORS) == NAMES
    assert GIVES_BACK < MOVES_TRAFFIC < NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_they_agree_on_it(name: str) -> None:
    action = every_action()[name]
    assert action.moves_traffic is (name in MOVES_TRAFFIC)
    assert FLOORS[name] >= action.tier
