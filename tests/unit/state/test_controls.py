"""The kill switch and the mode that people set while Vagus runs."""

from __future__ import annotations

import pytest

from vagus.clock import ManualClock
from vagus.errors import StateError
from vagus.model import Stop
from vagus.state.controls import Controls
from vagus.state.db import Database, open_database
from vagus.state.ledger import Ledger


@pytest.fixture
def controls(database: Database) -> Controls:
    return Controls(database)


def told(database: Database) -> list[tuple[str, dict[str, object]]]:
    return [(entry.event, dict(entry.facts)) for entry in Ledger(database).entries()]


def test_nothing_is_set_at_first(controls: Controls) -> None:
    assert controls.stop() is None
    assert controls.mode() is None


def test_a_stop_has_an_owner_and_a_reason_and_outlives_the_process(
    controls: Controls, database: Database, url: str, clock: ManualClock
) -> None:
    controls.set_stop(Stop("jo", "migration"))
    assert controls.stop() == Stop("jo", "migration", clock.now())
    other = open_database(url, clock)
    try:
        assert Controls(other).stop() == Stop("jo", "migration", clock.now())
    finally:
        other.close()
    assert told(database) == [("stopped", {"by": "jo", "reason": "migration"})]


def test_every_change_is_told_even_within_one_instant(
    controls: Controls, database: Database
) -> None:
    for _ in range(2):
        controls.set_stop(Stop("jo", "migration"))
        controls.clear_stop("ann")
    events = [event for event, _ in told(database)]
    assert events == ["stopped", "resumed"] * 2
    assert told(database)[1][1] == {"by": "ann", "was": {"owner": "jo", "reason": "migration"}}
    assert not Ledger(database).verify()


def test_a_later_stop_replaces_the_owner(controls: Controls) -> None:
    controls.set_stop(Stop("jo", "migration"))
    controls.set_stop(Stop("ann", "still migrating"))
    stop = controls.stop()
    assert stop is not None
    assert (stop.owner, stop.reason) == ("ann", "still migrating")


def test_lifting_what_is_not_set_says_nothing(controls: Controls, database: Database) -> None:
    controls.clear_stop("jo")
    assert told(database) == []


@pytest.mark.parametrize(("owner", "reason"), [("", "why"), ("jo", " ")])
def test_a_stop_says_who_and_why(controls: Controls, owner: str, reason: str) -> None:
    with pytest.raises(StateError):
        controls.set_stop(Stop(owner, reason))
    assert controls.stop() is None


def test_a_mode_is_chosen_and_given_back(controls: Controls, database: Database) -> None:
    controls.set_mode("suggest", "jo", "first night")
    assert controls.mode() == "suggest"
    controls.set_mode("off", "ann", "noise")
    assert controls.mode() == "off"
    controls.set_mode(None, "jo", "as declared")
    assert controls.mode() is None
    changes = [(facts["was"], facts["mode"], facts["by"]) for _, facts in told(database)]
    assert changes == [(None, "suggest", "jo"), ("suggest", "off", "ann"), ("off", None, "jo")]


def test_stop_and_mode_do_not_touch_each_other(controls: Controls) -> None:
    controls.set_stop(Stop("jo", "migration"))
    controls.set_mode("off", "jo", "noise")
    controls.clear_stop("jo")
    assert controls.mode() == "off"
