"""Arrivals: the right rate, the trace's burstiness, and files replayed at another pace."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vagus.errors import LabError
from vagus.lab.arrivals import AZURE_2023_CONVERSATION, Bursts, bursty, replayed

FLAT = Bursts(surge_rate=1.0, lull_rate=1.0, surge_ends=0.01, lull_ends=0.01)


def taken(count: int, rate: float, seed: int, process: Bursts) -> NDArray[np.float64]:
    return np.array(list(itertools.islice(bursty(rate, seed, process), count)))


def dispersion(times: NDArray[np.float64], window: float) -> float:
    """Variance over mean of the counts in windows: 1 for a Poisson process."""
    counts = np.bincount((times // window).astype(int))[:-1]
    return float(counts.var() / counts.mean())


def test_the_process_has_a_mean_rate_of_one() -> None:
    process = AZURE_2023_CONVERSATION
    share = process.surge_share
    mean = share * process.surge_rate + (1 - share) * process.lull_rate
    assert mean == pytest.approx(1.0, abs=0.001)


def test_arrivals_keep_the_rate_that_was_asked_for() -> None:
    times = taken(200_000, 4.0, 1, AZURE_2023_CONVERSATION)
    assert (np.diff(times) >= 0).all()
    assert len(times) / times[-1] == pytest.approx(4.0, rel=0.03)


def test_gaps_look_like_poisson_and_counts_over_minutes_do_not() -> None:
    times = taken(200_000, 1.0, 1, AZURE_2023_CONVERSATION)
    gaps = np.diff(times)
    assert gaps.std() / gaps.mean() == pytest.approx(1.05, abs=0.03)
    assert dispersion(times, 1) < 1.3
    assert 2.5 < dispersion(times, 55) < 4.5
    assert 7 < dispersion(times, 330) < 17


def test_without_surges_it_is_a_poisson_process() -> None:
    times = taken(100_000, 1.0, 1, FLAT)
    assert dispersion(times, 55) == pytest.approx(1.0, abs=0.15)


def test_arrivals_are_a_function_of_the_seed() -> None:
    first, again, other = (taken(50, 1.0, seed, AZURE_2023_CONVERSATION) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.0000000,374,44
2023-11-16 18:15:47.5000001,396,109
2023-11-16 18:15:52.0000000,879,55
"""
MOONCAKE = '{"timestamp": 0, "input_length": 1}\n{"timestamp": 1500}\n\n{"timestamp": 6000}\n'


@pytest.mark.parametrize(("name", "text"), [("a.csv", AZURE), ("m.jsonl", MOONCAKE)])
def test_a_trace_is_replayed_at_the_rate_that_was_asked_for(
    tmp_path: Path, name: str, text: str
) -> None:
    trace = tmp_path / name
    trace.write_text(text)
    # Three requests in a period of nine seconds (the last gap is the mean one), so at rate 1
    # everything happens three times as fast, and the fourth request is the first one again.
    times = list(itertools.islice(replayed(trace, rate=1.0), 6))
    assert times == pytest.approx([0, 0.5, 2, 3, 3.5, 5])


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("a.csv", AZURE.replace("18:15:52", "half past"), "a.csv:4"),
        ("a.csv", "WHEN\n1\n", "a.csv:2"),
        ("m.jsonl", '{"timestamp": 0}\nnonsense\n', "m.jsonl:2"),
        ("m.jsonl", '{"timestamp": 0}\n{"time": 7}\n', "m.jsonl:2"),
        ("m.jsonl", '{"timestamp": 0}\n', "two moments"),
        ("m.jsonl", "", "two moments"),
    ],
)
def test_a_bad_trace_is_named_with_its_line(
    tmp_path: Path, name: str, text: str, where: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(LabError) as caught:
        replayed(tmp_path / name, 1.0)
    assert where in str(caught.value)


def test_a_missing_trace_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"nothing\.csv: no trace"):
        replayed(tmp_path / "nothing.csv", 1.0)
