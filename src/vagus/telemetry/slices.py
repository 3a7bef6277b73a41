"""Clusters of queries, so that a bad slice is not hidden in a good mean.

They are made once, from a sample of what a collection holds (k-means, seeded by spreading), and
then stay: evidence adds up per cluster, so a cluster must not become another one. What comes in
later and lies farther out than nearly all of that sample belongs to none of them, and is a cluster
of its own, *new*: it is where an index that was laid out before knows least.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vagus.model import Vector

NEW = "new"
CLUSTERS = 8
OF_EACH = 8  # documents without which a cluster is not worth making
ROUNDS = 20
REACH = 1.15  # times the distance within which nearly all of a cluster's sample lies ...
NEARLY_ALL = 0.99  # ... which is this share of it

Matrix = NDArray[np.float32]


class Slices:
    """``vectors``: a sample, one a row; of few of them there are few clusters, of none one."""

    def __init__(self, vectors: Sequence[Vector], *, seed: int) -> None:
        count = min(CLUSTERS, len(vectors) // OF_EACH)
        if count < 1:
            self._centroids = np.zeros((0, 0), dtype=np.float32)
            self._reach = np.zeros(0)
            return
        sample = np.stack(vectors).astype(np.float32)
        self._centroids = _spread(sample, count, np.random.default_rng(seed))
        for _ in range(ROUNDS):
            nearest = _distances(sample, self._centroids).argmin(axis=1)
            members = [sample[nearest == n] for n in range(count)]
            self._centroids = np.stack(
                [
                    group.mean(axis=0) if len(group) else old
                    for group, old in zip(members, self._centroids, strict=True)
                ]
            )
        away = _distances(sample, self._centroids).min(axis=1)
        self._reach = np.full(count, REACH * float(np.quantile(away, NEARLY_ALL)))

    def of(self, vector: Vector) -> str:
        """The name of the cluster that ``vector`` belongs to."""
        if not len(self._centroids):
            return "all"
        away = _distances(vector[None, :], self._centroids)[0]
        nearest = int(away.argmin())
        return f"{nearest + 1}" if away[nearest] <= self._reach[nearest] else NEW


def _distances(rows: Matrix, to: Matrix) -> NDArray[np.float64]:
    """Euclidean, of each row of ``rows`` to each of ``to``."""
    a, b = rows.astype(np.float64), to.astype(np.float64)
    squares = (a**2).sum(axis=1)[:, None] - 2.0 * a @ b.T + (b**2).sum(axis=1)[None, :]
    distances: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0.0))
    return distances


def _spread(sample: Matrix, count: int, chance: np.random.Generator) -> Matrix:
    """Members of ``sample`` that lie far apart (k-means++; Arthur and Vassilvitskii 2007)."""
    chosen = [int(chance.integers(len(sample)))]
    for _ in range(1, count):
        away = _distances(sample, sample[chosen]).min(axis=1) ** 2
        total = float(away.sum())
        weights = away / total if total > 0 else np.full(len(sample), 1.0 / len(sample))
        chosen.append(int(chance.choice(len(sample), p=weights)))
    return sample[chosen]
