"""The mode and the kill switch in force."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from vagus.config import Mode, Settings
from vagus.errors import StateUnavailable
from vagus.model import Stop
from vagus.policy.steering import Steering, in_force, raises


@dataclass
class FakeControls:
    stopped: Stop | None = None
    chosen: str | None = None
    broken: bool = False

    def stop(self) -> Stop | None:
        self._break()
        return self.stopped

    def mode(self) -> str | None:
        self._break()
        return self.chosen

    def set_stop(self, stop: Stop) -> None:
        self.stopped = stop

    def clear_stop(self, by: str) -> None:
        self.stopped = None

    def set_mode(self, mode: str | None, by: str, reason: str) -> None:
        self.chosen = mode

    def _break(self) -> None:
        if self.broken:
            raise StateUnavailable("the disk is full")


@pytest.fixture
def controls() -> FakeControls:
    return FakeControls()


@pytest.fixture
def steering(controls: FakeControls, tmp_path: Path) -> Steering:
    settings = Settings.model_validate(
        {
            "stack": {"chat": {"kind": "model-server"}},
            "mode": "suggest",
            "policy": {"kill_switch": str(tmp_path / "vagus.stop")},
        }
    )
    return Steering(settings, controls)


def test_modes_are_ordered_by_what_they_allow() -> None:
    order = [Mode.OFF, Mode.SHADOW, Mode.SUGGEST, Mode.AUTO]
    for i, low in enumerate(order):
        assert not raises(low, low)
        for high in order[i + 1 :]:
            assert raises(low, high)
            assert not raises(high, low)


def test_a_word_that_nobody_knows_is_off() -> None:
    assert in_force(Mode.AUTO, None) is Mode.AUTO
    assert in_force(Mode.OFF, "auto") is Mode.AUTO
    assert in_force(Mode.AUTO, "AUTO") is Mode.OFF
    assert in_force(Mode.AUTO, "") is Mode.OFF


def test_the_mode_changes_with_the_tick(steering: Steering, controls: FakeControls) -> None:
    assert steering.mode() is Mode.SUGGEST
    controls.chosen = "off"
    assert steering.mode() is Mode.SUGGEST
    assert steering.refresh()
    assert steering.mode() is Mode.OFF
    assert not steering.refresh()
    controls.broken = True
    assert not steering.refresh()
    assert steering.mode() is Mode.OFF


def test_either_switch_stops_at_once(
    steering: Steering, controls: FakeControls, tmp_path: Path
) -> None:
    assert steering.stop() is None
    controls.stopped = Stop("jo", "migration")
    assert steering.stop() == Stop("jo", "migration")
    file = tmp_path / "vagus.stop"
    file.write_text("Ann: fire\n")
    assert steering.stop() == Stop("Ann", "fire")
    file.unlink()
    controls.stopped = None
    assert steering.stop() is None


def test_a_switch_that_can_t_be_read_is_set(steering: Steering, controls: FakeControls) -> None:
    controls.broken = True
    stop = steering.stop()
    assert stop is not None
    assert "counts as set: the disk is full" in stop.reason
