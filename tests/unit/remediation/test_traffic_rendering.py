"""Desired traffic from the stack as declared and the overrides on top of it."""

from __future__ import annotations

import pytest

from vagus import config
from vagus.model import Aspect, Endpoint, Override, Subject
from vagus.remediation.traffic import present, render
from vagus.topology import Topology

NOW = 1_000.0
DECLARED = Topology.declared(
    config.parse(
        """
stack:
  chat: {kind: model-server, replicas: {chat-2: "http://127.0.0.1:2", chat-1: "http://127.0.0.1:1"}}
  vectors: {kind: vector-store, dsn_env: X}
"""
    )
)
CHAT_1, CHAT_2, CHAT_3 = (Subject("chat", f"chat-{n}") for n in (1, 2, 3))


def row(
    subject: Subject,
    aspect: Aspect,
    value: str,
    incident: str = "i1",
    at: float = 0.0,
    until: float | None = None,
) -> Override:
    return Override(subject, aspect, value, incident, at, until)


def endpoint(*rows: Override, replica: str = "chat-1") -> Endpoint:
    (found,) = (e for e in render(DECLARED, rows, NOW)["chat"] if e.replica == replica)
    return found


def test_without_overrides_it_is_the_declared_stack_in_a_stable_order() -> None:
    assert render(DECLARED, [], NOW) == {
        "chat": (
            Endpoint("chat-1", "http://127.0.0.1:1"),
            Endpoint("chat-2", "http://127.0.0.1:2"),
        )
    }


def test_a_component_without_replicas_is_left_out_rather_than_emptied() -> None:
    assert "vectors" not in render(DECLARED, [], NOW)


@pytest.mark.parametrize("order", [1, -1])
def test_the_strictest_health_wins_whoever_wants_it(order: int) -> None:
    rows = [
        row(CHAT_1, Aspect.HEALTH, "unhealthy", "i1"),
        row(CHAT_1, Aspect.HEALTH, "draining", "i2"),
    ]
    assert endpoint(*rows[::order]).health == "unhealthy"


@pytest.mark.parametrize("order", [1, -1])
def test_the_smallest_share_wins(order: int) -> None:
    rows = [row(CHAT_1, Aspect.WEIGHT, "0.25", "i1"), row(CHAT_1, Aspect.WEIGHT, "0.5", "i2")]
    assert endpoint(*rows[::order]).share == 0.25


def test_an_expired_override_is_as_good_as_none_from_that_instant_on() -> None:
    assert endpoint(row(CHAT_1, Aspect.HEALTH, "unhealthy", until=NOW)).health == "healthy"
    assert endpoint(row(CHAT_1, Aspect.HEALTH, "unhealthy", until=NOW + 0.001)).health != "healthy"


def test_a_replica_is_added_with_its_address_and_may_be_held_out() -> None:
    rows = [
        row(CHAT_3, Aspect.MEMBER, "http://127.0.0.1:3"),
        row(CHAT_3, Aspect.HEALTH, "unhealthy"),
    ]
    found = endpoint(*rows, replica="chat-3")
    assert found == Endpoint("chat-3", "http://127.0.0.1:3", "unhealthy")
    assert present(DECLARED, rows, NOW).address(CHAT_3) == "http://127.0.0.1:3"


def test_a_replica_that_was_taken_out_is_no_endpoint() -> None:
    (only,) = render(DECLARED, [row(CHAT_1, Aspect.MEMBER, "")], NOW)["chat"]
    assert only.replica == "chat-2"


def test_overrides_of_a_replica_that_is_not_there_do_nothing() -> None:
    assert render(DECLARED, [row(CHAT_3, Aspect.HEALTH, "unhealthy")], NOW) == render(
        DECLARED, [], NOW
    )


@pytest.mark.parametrize("order", [1, -1])
def test_a_name_that_comes_back_means_the_new_replica(order: int) -> None:
    rows = [
        row(CHAT_1, Aspect.MEMBER, "", "i1", at=10.0),
        row(CHAT_1, Aspect.MEMBER, "http://127.0.0.1:9", "i2", at=20.0),
    ]
    assert endpoint(*rows[::order]).address == "http://127.0.0.1:9"
