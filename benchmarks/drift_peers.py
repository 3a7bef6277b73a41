"""What else is used to see drift of embeddings, on the same streams as ours.

Three are tests of two samples, run every :data:`STRIDE` vectors on the last :data:`WINDOW` against
the reference, each at the level that would give the same run length if tests were independent. The
others are river's detectors of one number, fed with the distance to the nearest reference vector,
with river's own settings: they declare no run length.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Test = Callable[[Vectors, Vectors, np.random.Generator], float]

WINDOW, STRIDE = 400, 100
PERMUTATIONS = 400
SAMPLE = 600
"""Reference vectors that a permutation test looks at, of two thousand."""


def ks_bonferroni(reference: Vectors, window: Vectors, random: np.random.Generator) -> float:
    """Kolmogorov and Smirnov's test on each dimension (asymptotic), the least p-value corrected."""
    n, m = len(reference), len(window)
    worst = 0.0
    for column in range(reference.shape[1]):
        a, b = np.sort(reference[:, column]), np.sort(window[:, column])
        both = np.concatenate([a, b])
        steps = np.searchsorted(a, both, "right") / n - np.searchsorted(b, both, "right") / m
        worst = max(worst, float(np.abs(steps).max()))
    return min(1.0, float(reference.shape[1]) * 2.0 * math.exp(-2.0 * worst**2 * n * m / (n + m)))


def mmd(reference: Vectors, window: Vectors, random: np.random.Generator) -> float:
    """MMD with a Gaussian kernel, the median distance as its width, by permutations."""
    some = reference[random.choice(len(reference), min(SAMPLE, len(reference)), replace=False)]
    both = np.concatenate([some, window]).astype(np.float64)
    square = np.maximum(2.0 - 2.0 * (both @ both.T), 0.0)
    k = np.exp(-square / np.median(square))
    np.fill_diagonal(k, 0.0)
    here = np.zeros((len(both), PERMUTATIONS + 1))
    here[len(some) :, 0] = 1.0
    for column in range(1, PERMUTATIONS + 1):
        here[random.choice(len(both), len(window), replace=False), column] = 1.0
    there = 1.0 - here
    n, m = len(some), len(window)
    inside = (here * (k @ here)).sum(0) / (m * (m - 1))
    outside = (there * (k @ there)).sum(0) / (n * (n - 1))
    between = (there * (k @ here)).sum(0) / (n * m)
    value = inside + outside - 2.0 * between
    return float((value >= value[0]).mean())


def domain_classifier(reference: Vectors, window: Vectors, random: np.random.Generator) -> float:
    """Logistic regression tells window from reference, in two folds; the rank test of its AUC."""
    some = reference[random.choice(len(reference), len(window), replace=False)]
    x = np.concatenate([some, window]).astype(np.float64)
    x = (x - x.mean(0)) / (x.std(0) + 1e-9)
    y = np.repeat([0.0, 1.0], len(window))
    fold = random.permutation(len(x)) % 2
    p = []
    for held in (0, 1):
        weights = _logistic(x[fold != held], y[fold != held])
        score, truth = x[fold == held] @ weights, y[fold == held]
        p.append(_rank_test(score[truth == 1.0], score[truth == 0.0]))
    return min(1.0, 2.0 * min(p))


def _logistic(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Newton's method with a ridge of one, as in scikit-learn's defaults."""
    weights = np.zeros(x.shape[1])
    for _ in range(6):
        p = 1.0 / (1.0 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (p - y) + weights
        curve = (x * (p * (1 - p))[:, None]).T @ x + np.eye(x.shape[1])
        weights = weights - np.linalg.solve(curve, slope)
    return weights


def _rank_test(high: NDArray[np.float64], low: NDArray[np.float64]) -> float:
    n, m = len(high), len(low)
    ranks = np.argsort(np.argsort(np.concatenate([high, low])))[:n] + 1.0
    above = ranks.sum() - n * (n + 1) / 2
    z = (above - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return 0.5 * math.erfc(z / math.sqrt(2))


TESTS: dict[str, Test] = {
    "KS + Bonferroni": ks_bonferroni,
    "MMD, permutations": mmd,
    "domain classifier": domain_classifier,
}


def tested(
    test: Test, reference: Vectors, stream: Vectors, run_length: float, seed: int, skip: int
) -> int | None:
    """How many vectors after ``skip`` the first test rejects; None: never. Tests before that are
    not made: a window then ends at ``skip`` or later."""
    random = np.random.default_rng(seed)
    for end in range(skip + STRIDE, len(stream) + 1, STRIDE):
        window = stream[max(0, end - WINDOW) : end]
        if test(reference, window, random) <= STRIDE / run_length:
            return end - skip
    return None


def river_alarms(reference: Vectors, stream: Vectors) -> dict[str, list[int]]:
    """The vectors at which each of river's raises one; empty without river."""
    try:
        from river import drift
    except ImportError:
        return {}
    nearest = (1.0 - (stream @ reference.T).max(axis=1)).tolist()
    detectors = {
        "river ADWIN": drift.ADWIN(),
        "river PageHinkley": drift.PageHinkley(),
        "river KSWIN": drift.KSWIN(seed=0),
    }
    alarms: dict[str, list[int]] = {}
    for name, detector in detectors.items():
        alarms[name] = []
        for number, value in enumerate(nearest):
            detector.update(value)
            if detector.drift_detected:
                alarms[name].append(number)
    return alarms
