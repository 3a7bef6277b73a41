"""What a sketch promises, for any values: its error, and that merging changes nothing."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vagus.telemetry.sketch import SECONDS, Buckets, Sketches

values = st.floats(1e-4, 4e3)
batches = hnp.arrays(np.float64, st.integers(1, 200), elements=values)
anything = hnp.arrays(np.float64, st.integers(0, 50), elements=st.floats(width=64))


@given(batches, st.floats(0.01, 1.0))
def test_a_quantile_is_as_near_as_it_promises(batch: np.ndarray, share: float) -> None:
    sketch = Sketches(1)
    sketch.add(np.zeros(len(batch), dtype=np.int64), batch)
    exact = np.sort(batch)[max(math.ceil(share * len(batch)), 1) - 1]
    assert abs(sketch.quantile(share)[0] - exact) <= exact * SECONDS.error * 1.0001


@given(values)
def test_buckets_are_those_of_opentelemetry(value: float) -> None:
    base = 2 ** (2**-SECONDS.scale)
    index = int(SECONDS.index(np.array([value]))[0]) + SECONDS.offset
    slack = 1 + 1e-12
    assert base**index / slack < value <= base ** (index + 1) * slack


@given(st.integers(-16, 11))
def test_a_power_of_two_belongs_to_the_bucket_that_it_closes(exponent: int) -> None:
    index = int(SECONDS.index(np.array([2.0 ** (exponent + 1)]))[0])
    assert index + SECONDS.offset == ((exponent + 1) << SECONDS.scale) - 1


@given(batches, batches)
def test_merging_is_adding(first: np.ndarray, second: np.ndarray) -> None:
    apart, other, whole = Sketches(1), Sketches(1), Sketches(1)
    for sketch, batch in ((apart, first), (other, second), (whole, first), (whole, second)):
        sketch.add(np.zeros(len(batch), dtype=np.int64), batch)
    apart.merge(other)
    assert (apart.counts == whole.counts).all()


@given(anything)
def test_whatever_comes_is_counted_once_or_is_nan(batch: np.ndarray) -> None:
    sketch = Sketches(2, Buckets(scale=2, lowest=-3, highest=3))
    sketch.add(np.ones(len(batch), dtype=np.int64), batch)
    assert sketch.counts.sum(axis=1).tolist() == [0, int((~np.isnan(batch)).sum())]
