"""Clusters of queries, so that a bad slice is not hidden in a good mean.

They are made once, from a sample of what a collection holds (k-means, seeded by spreading), and
then stay: evidence adds up per cluster, so a cluster must not become another one. What comes in
later and lies farther out than nearly all of that sample belongs to none of them, and is a cluster
of its own, *new*: it is where an index that was laid out before knows least.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vagus.clusters import kmeans, squares
from vagus.model import Vector

NEW = "new"
CLUSTERS = 8
OF_EACH = 8  # documents without which a cluster is not worth making
REACH = 1.15  # times the distance within which nearly all of a cluster's sample lies ...
NEARLY_ALL = 0.99  # ... which is this share of it


class Slices:
    """``vectors``: a sample, one a row; of few of them there are few clusters, of none one."""

    def __init__(self, vectors: Sequence[Vector], *, seed: int) -> None:
        count = min(CLUSTERS, len(vectors) // OF_EACH)
        if count < 1:
            self._centroids = np.zeros((0, 0), dtype=np.float32)
            self._reach = np.zeros(0)
            return
        sample = np.stack(vectors).astype(np.float32)
        _, self._centroids = kmeans(sample, count, seed)
        away = np.sqrt(squares(sample, self._centroids).min(axis=1))
        self._reach = np.full(count, REACH * float(np.quantile(away, NEARLY_ALL)))

    def of(self, vector: Vector) -> str:
        """The name of the cluster that ``vector`` belongs to."""
        if not len(self._centroids):
            return "all"
        away = np.sqrt(squares(vector[None, :], self._centroids)[0])
        nearest = int(away.argmin())
        return f"{nearest + 1}" if away[nearest] <= self._reach[nearest] else NEW
