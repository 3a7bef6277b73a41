from __future__ import annotations

import numpy as np
import pytest

from vagus.detection.drift import Drift, Reference, Rejection
from vagus.detection.drift.reference import Floats
from vagus.detection.drift.snapshot import restore, snapshot
from vagus.errors import MalformedData, StateError

DIMENSION = 16


def topics(count: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(size=(count, DIMENSION))


def queries(centres: Floats, count: int, seed: int) -> Floats:
    random = np.random.default_rng(seed)
    about = centres[random.integers(len(centres), size=count)]
    return about + 0.4 * random.normal(size=about.shape)


OLD, NEW = topics(12), topics(1, seed=9)


def mixed(share: float, count: int, seed: int) -> tuple[Floats, np.ndarray]:
    """Queries of which a share is about something new, and which those are."""
    fresh = np.random.default_rng(seed + 1).random(count) < share
    return np.where(
        fresh[:, None], queries(NEW, count, seed + 2), queries(OLD, count, seed + 3)
    ), fresh


def a_reference(seed: int = 1, rows: int = 600) -> Reference:
    return Reference.of(queries(OLD, rows, seed), model="m-1", index="i-1", seed=seed)


def test_false_alarms_are_not_more_than_declared() -> None:
    alarms = 0
    for seed in range(20):
        drift = Drift(a_reference(seed=100 + seed), run_length=500.0, seed=seed)
        drift.observe(queries(OLD, 2_000, 200 + seed))
        alarms += drift.alarms
    # 80 are allowed. Some must come, or the declared length would be a mere word.
    assert 5 <= alarms <= 80


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_new_topic_is_found_and_its_beginning_is_near(share: float) -> None:
    drift = Drift(a_reference(), run_length=10_000.0)
    assert drift.observe(queries(OLD, 300, 5)).alarm is None
    alarm = drift.observe(mixed(share, 600, 7)[0]).alarm
    assert alarm is not None
    assert 300 < alarm.at < 600
    assert abs(alarm.since - 300) < 100


def test_an_old_topic_that_grows_is_seen_by_the_witness_alone() -> None:
    drift = Drift(a_reference(), run_length=10_000.0)
    drift.observe(queries(OLD, 300, 5))
    random = np.random.default_rng(3)
    more = np.where(
        (random.random(800) < 0.3)[:, None], queries(OLD[:1], 800, 8), queries(OLD, 800, 9)
    )
    assert drift.observe(more).alarm is not None


def test_batches_do_not_matter() -> None:
    stream = mixed(0.1, 400, 7)[0]
    whole, parts = Drift(a_reference(), seed=3), Drift(a_reference(), seed=3)
    last = whole.observe(stream)
    for start in range(0, 400, 7):
        piece = parts.observe(stream[start : start + 7])
    assert piece.level == pytest.approx(last.level, abs=0.05)
    assert parts.seen == whole.seen == 400


def test_what_can_not_be_judged_is_counted_by_name() -> None:
    drift = Drift(a_reference())
    good = queries(OLD, 3, 1)
    rows = np.concatenate([good, np.zeros((1, DIMENSION)), np.full((2, DIMENSION), np.nan)])
    assert drift.observe(rows).rejected == {Rejection.NO_DIRECTION: 1, Rejection.NOT_FINITE: 2}
    assert drift.observe(np.ones((4, DIMENSION + 1))).rejected == {Rejection.OTHER_DIMENSION: 4}
    assert drift.observe([["a"]]).rejected == {Rejection.NOT_NUMBERS: 1}
    assert drift.observe([]).rejected == {}
    assert drift.observe(np.full((1, DIMENSION), 1e300)).rejected == {Rejection.NOT_FINITE: 1}
    assert drift.seen == 3
    assert drift.rejected.total() == 9


def test_labels_stay_with_their_vectors() -> None:
    drift = Drift(a_reference())
    stream, fresh = mixed(0.3, 300, 7)
    stream[::10] = np.nan  # these take their labels with them
    drift.observe(stream, [f"{'new' if new else 'old'} {i}" for i, new in enumerate(fresh)])
    (found,) = drift.slices()
    assert found.examples
    assert all(example.startswith("new") for example in found.examples)


def test_a_slice_is_named_with_its_share_then_and_now() -> None:
    drift = Drift(a_reference())
    stream, fresh = mixed(0.1, 400, 7)
    drift.observe(stream)
    (found,) = drift.slices()
    hits = int(fresh[found.members].sum())
    assert hits / len(found.members) >= 0.85
    assert hits / fresh.sum() >= 0.85
    assert found.share_then < 0.02
    assert 0.06 < found.share_now < 0.15
    assert found.p <= 0.05


def test_slices_are_seldom_seen_where_nothing_changed() -> None:
    named = 0
    for seed in range(40):
        drift = Drift(a_reference(seed=50 + seed))
        drift.observe(queries(OLD, 300, 90 + seed))
        named += bool(drift.slices())
    assert named <= 6  # at .05 each, more than six of forty come once in seventy


def test_slices_since_an_alarm_leave_out_what_was_before() -> None:
    drift = Drift(a_reference(), run_length=10_000.0)
    drift.observe(queries(OLD, 300, 5))
    alarm = drift.observe(mixed(0.3, 90, 7)[0]).alarm
    assert alarm is not None
    (found,) = drift.slices(alarm.since)
    assert found.share_now > 0.2


def test_a_snapshot_goes_on_as_if_nothing_had_happened() -> None:
    stream = mixed(0.1, 500, 7)[0]
    drift = Drift(a_reference(), seed=3)
    drift.observe(stream[:250])
    again = restore(snapshot(drift), model="m-1", index="i-1")
    assert again.observe(stream[250:]) == drift.observe(stream[250:])
    assert [s.members.tolist() for s in again.slices()] == [
        s.members.tolist() for s in drift.slices()
    ]


def test_a_snapshot_of_another_model_or_damaged_is_refused() -> None:
    kept = snapshot(Drift(a_reference()))
    with pytest.raises(StateError, match="model 'm-1'"):
        restore(kept, model="m-2", index="i-1")
    with pytest.raises(StateError, match="damaged"):
        restore(kept[:-1] + bytes([kept[-1] ^ 1]), model="m-1", index="i-1")
    with pytest.raises(StateError, match="no snapshot"):
        restore(b"vagus-baselines 1 0 x\n", model="m-1", index="i-1")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.full((300, 4), np.nan), "300 not-finite"),
        (np.zeros((300, 4)), "300 no-direction"),
        (np.ones((300, 4)), "all embeddings of the reference are the same"),
        (topics(20), "at least 200"),
        (np.ones(300), "a row for each embedding"),
    ],
)
def test_a_bad_reference_says_what_is_wrong(rows: Floats, said: str) -> None:
    with pytest.raises(MalformedData, match=said):
        Reference.of(rows, model="m")
