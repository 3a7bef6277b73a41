"""What else people use for one series, in the same run and without looking ahead."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping

import numpy as np

from benchmarks.nab.scoring import Floats

DAY_S, WEEK_S = 86400.0, 604800.0


def river_is_missing() -> bool:
    """Whether river is not installed."""
    return importlib.util.find_spec("river") is None


def river(at: Floats, values: Floats) -> Floats:
    """river's PredictiveAnomalyDetection over its SNARIMAX, as in its documentation."""
    from river import anomaly, time_series

    detector = anomaly.PredictiveAnomalyDetection(
        time_series.SNARIMAX(p=4, d=1, q=2), horizon=1, n_std=3.5, warmup_period=100
    )
    scale = float(np.abs(values[:100]).mean()) or 1.0  # its regression diverges on large numbers
    scores = np.empty(len(values))
    for number, value in enumerate(values / scale):
        # Both arguments are the value: it has no features, and is scored before it is learned.
        scores[number] = detector.score_one({}, float(value))
        detector.learn_one({}, float(value))
    return np.nan_to_num(scores)


def ewma_z(at: Floats, values: Floats) -> Floats:
    """Distance from an exponential mean in exponential standard deviations, rate .05."""
    mean, variance, rate = float(values[0]), 0.0, 0.05
    scores = np.empty(len(values))
    for number, value in enumerate(values):
        off = value - mean
        scores[number] = abs(off) / math.sqrt(variance) if variance > 0 else 0.0
        mean += rate * off
        variance = (1 - rate) * (variance + rate * off * off)
    return scores


def adaptive_bands(at: Floats, values: Floats) -> Floats:
    """Bands around the mean of now, a day and a week ago, as in Grafana's anomaly dashboards: each
    an hour's mean, as wide as the deviation of the last day."""
    first, last = np.append(0.0, np.cumsum(values)), np.append(0.0, np.cumsum(values**2))
    number = np.arange(len(values))

    def window(begin: Floats, end: Floats) -> tuple[Floats, Floats]:
        low, high = np.searchsorted(at, begin), np.minimum(np.searchsorted(at, end), number)
        many = np.maximum(high - low, 1)
        mean = (first[np.maximum(high, low)] - first[low]) / many
        square = (last[np.maximum(high, low)] - last[low]) / many
        missing = high <= low
        return np.where(missing, np.nan, mean), np.sqrt(np.maximum(square - mean * mean, 0.0))

    means = [window(at - ago - 3600, at - ago)[0] for ago in (0.0, DAY_S, WEEK_S)]
    known = np.isfinite(means)
    middle = np.where(known, means, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    width = window(at - DAY_S, at)[1]
    ready = (width > 0) & known.any(0)
    return np.where(ready, np.abs(values - middle) / np.where(width > 0, width, 1.0), 0.0)


RIVALS: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "river": river,
    "ewma_z": ewma_z,
    "adaptive_bands": adaptive_bands,
}
