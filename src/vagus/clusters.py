"""k-means, as two steps need it: where queries lie, and which of them have grown.

Lloyd's rounds from a seeded spread (k-means++; Arthur and Vassilvitskii, 2007), on arrays, without
a library of a hundred megabytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


def kmeans(
    rows: Rows, clusters: int, seed: int, *, rounds: int = 20
) -> tuple[NDArray[np.intp], Rows]:
    """The cluster of each of ``rows`` (n, d), and the centres (clusters, d). There are at least as
    many rows as clusters; one that loses all its rows keeps its centre."""
    random = np.random.default_rng(seed)
    centres = np.empty((clusters, rows.shape[1]), np.float32)
    centres[0] = rows[random.integers(len(rows))]
    far = np.full(len(rows), np.inf)
    for i in range(1, clusters):
        far = np.minimum(far, squares(rows, centres[i - 1 : i])[:, 0] + 1e-12)
        centres[i] = rows[random.choice(len(rows), p=far / far.sum())]
    group = np.zeros(len(rows), np.intp)
    for _ in range(rounds):
        group = squares(rows, centres).argmin(axis=1)
        order = np.argsort(group, kind="stable")
        there, first = np.unique(group[order], return_index=True)
        sizes = np.diff(np.append(first, len(rows)))
        centres[there] = np.add.reduceat(rows[order], first, axis=0) / sizes[:, None]
    return group, centres


def squares(rows: Rows, to: Rows) -> NDArray[np.float64]:
    """Squared Euclidean distance of each of ``rows`` to each of ``to``: (len(rows), len(to))."""
    a, b = rows.astype(np.float64), to.astype(np.float64)
    both = (a**2).sum(axis=1)[:, None] - 2.0 * a @ b.T + (b**2).sum(axis=1)[None, :]
    distances: NDArray[np.float64] = np.maximum(both, 0.0)
    return distances
