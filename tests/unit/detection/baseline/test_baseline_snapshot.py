"""A restart keeps what was learned; a damaged file is set aside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import structlog

from vagus.detection.baseline import Budget, Fleet, Scores
from vagus.detection.baseline import snapshot as snapshots
from vagus.errors import StateError


def learned(ticks: int = 120) -> Fleet:
    fleet = Fleet(10.0, Budget(), fast=False)
    fleet.add([f"s{i}" for i in range(6)], group=[0, 0, 0, 1, 1, -1], floor=0.1)
    random = np.random.default_rng(0)
    for tick in range(ticks):
        fleet.update(random.normal(5.0, 1.0, 6), at=1e9 + 10 * tick)
    return fleet


def test_a_restored_fleet_goes_on_as_the_first_would_have() -> None:
    first, second = learned(), Fleet(10.0, Budget(), fast=False)
    snapshots.restore(second, snapshots.snapshot(first))
    assert second.names == first.names
    assert second.tally == first.tally
    random = np.random.default_rng(1)
    for _ in range(50):
        values = random.normal(5.0, 1.0, 6)
        for field, a, b in zip(Scores._fields, first.update(values), second.update(values),
                               strict=True):  # fmt: skip
            np.testing.assert_array_equal(a, b, err_msg=field)


@pytest.mark.parametrize("spoil", ["cut", "flip", "foreign", "newer", "empty"])
def test_a_bad_file_is_set_aside_with_a_warning(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "baselines"
    snapshots.save(learned(), path)
    data = bytearray(path.read_bytes())
    if spoil == "cut":
        del data[-100:]
    elif spoil == "flip":
        data[len(data) // 2] ^= 1
    elif spoil == "newer":
        data = bytearray(bytes(data).replace(b"baselines 1", b"baselines 2", 1))
    else:
        data = bytearray(b"PK..." if spoil == "foreign" else b"")
    path.write_bytes(data)
    fleet = Fleet(10.0, Budget(), fast=False)
    with structlog.testing.capture_logs() as logs:
        assert not snapshots.load(fleet, path)
    assert len(fleet) == 0
    assert not path.exists()
    assert (tmp_path / "baselines.bad-1").read_bytes() == bytes(data)
    assert [line["event"] for line in logs] == ["baselines_set_aside"]


def test_what_was_learned_at_another_tick_is_not_taken_over(tmp_path: Path) -> None:
    data = snapshots.snapshot(learned())
    with pytest.raises(StateError, match="tick of 10 s"):
        snapshots.restore(Fleet(1.0, Budget(), fast=False), data)


def test_no_file_is_no_error(tmp_path: Path) -> None:
    assert not snapshots.load(Fleet(fast=False), tmp_path / "none")
