"""Whatever was seen comes back from a recording as it was."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vagus.model import Attempt, Evidence, Failure, Phase, Probe, Scrape, Sense, Subject
from vagus.model.series import Column, SeriesKey
from vagus.telemetry.recording import Batch, Reader, batch_line, column_line, series_line

seconds = st.floats(0, 2e9)
texts = st.text(max_size=10)
names = st.from_regex(r"[a-z0-9-]{1,8}", fullmatch=True)
subjects = st.builds(Subject, names, names)
failures = st.none() | st.sampled_from(Failure)
attempts = st.builds(
    Attempt,
    subject=subjects,
    id=texts,
    phase=st.sampled_from(Phase),
    at=seconds,
    started_at=seconds,
    failure=failures,
    status=st.none() | st.integers(100, 599),
    time_to_first_token=st.none() | seconds,
    duration=seconds,
    received_bytes=st.integers(0, 2**40),
    content_type=texts,
    cohort=texts,
    path=texts,
)
scrapes = st.builds(
    Scrape,
    subject=subjects,
    at=seconds,
    failure=failures,
    values=st.dictionaries(texts, st.floats(allow_nan=False), max_size=4),
    sense=st.sampled_from(Sense),
)
probes = st.builds(
    Probe,
    subject=subjects,
    at=seconds,
    failure=failures,
    time_to_first_token=st.none() | seconds,
    time_per_token=st.none() | seconds,
    duration=seconds,
    answer=texts,
)
keys = st.builds(SeriesKey, subjects, texts, st.sampled_from(Sense))


@given(seconds, st.lists(attempts | scrapes | probes, max_size=5))
def test_evidence_comes_back_as_it_was(at: float, batch: list[Evidence]) -> None:
    line = batch_line(at, batch)
    assert b"\n" not in line
    assert Reader().read(line, "") == Batch(at, tuple(batch))


@given(seconds, st.lists(st.tuples(st.none() | keys, st.floats(allow_infinity=False)), max_size=8))
def test_columns_come_back_to_six_digits(
    at: float, told: list[tuple[SeriesKey | None, float]]
) -> None:
    series = tuple(key for key, _ in told)
    column = Column(at, series, np.array([value for _, value in told], dtype=np.float64))
    reader = Reader()
    assert reader.read(series_line(series), "") is None
    back = reader.read(column_line(column), "")
    assert isinstance(back, Column)
    assert (back.at, back.series) == (at, series)
    for value, again in zip(column.values, back.values, strict=True):
        assert (math.isnan(value) and math.isnan(again)) or math.isclose(
            value, again, rel_tol=1e-5, abs_tol=1e-300
        )
