"""The parts of drift detection that must hold for any numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vagus.detection.drift import novelty
from vagus.detection.drift.slices import hanging_together, holm, tails

SMALL = st.integers(0, 12)


@given(st.lists(SMALL, max_size=20), st.lists(SMALL, min_size=1, max_size=20), st.integers(1, 5))
def test_ranks_are_those_among_all_before(
    calibration: list[int], stream: list[int], cut: int
) -> None:
    counts = np.bincount(np.array(calibration, np.intp), minlength=novelty.BINS)
    chance = np.random.default_rng(0).random(len(stream))
    bins = np.array(stream, np.intp)
    got = np.concatenate(
        [
            novelty.ranks(counts, bins[i : i + cut], chance[i : i + cut])
            for i in range(0, len(stream), cut)
        ]
    )
    seen = list(calibration)
    for p, bin_, u in zip(got, stream, chance, strict=True):
        above, equal = sum(s > bin_ for s in seen), seen.count(bin_) + 1
        assert p == (above + u * equal) / (len(seen) + 1)
        seen.append(bin_)
    assert counts.sum() == len(seen)


@given(st.integers(1, 30), st.integers(0, 30), st.data())
def test_tails_are_probabilities_that_fall(drawn: int, rest: int, data: st.DataObject) -> None:
    population = drawn + rest
    size = data.draw(st.integers(0, population))
    now = np.arange(min(drawn, size) + 1)
    p = tails(now, np.full(len(now), size), drawn, population)
    assert np.isclose(p[0], 1.0)
    assert (np.diff(p) <= 1e-12).all()
    assert (p >= 0.0).all()


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30))
def test_holm_lies_between_nothing_and_bonferroni(values: list[float]) -> None:
    p = np.array(values)
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(p * len(p), 1.0) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0.0).all()


@given(st.integers(2, 12), st.data())
def test_what_hangs_together_is_parted_once(count: int, data: st.DataObject) -> None:
    near = np.array(
        data.draw(
            st.lists(
                st.lists(st.integers(-3, count - 1), min_size=3, max_size=3),
                min_size=count,
                max_size=count,
            )
        )
    )
    members = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    parts = hanging_together(near, members)
    assert sorted(np.concatenate([*parts, []]).tolist()) == np.flatnonzero(members).tolist()
    place = {int(one): number for number, part in enumerate(parts) for one in part}
    for one in place:
        for other in near[one]:
            assert other < 0 or other not in place or place[int(other)] == place[one]
