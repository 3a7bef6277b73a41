"""Which slice changed: the groups that are a larger part of the window than of the reference.

Reference and window are clustered together, so that a topic that the reference never had can have a
cluster of its own, once coarsely and once finely, since nobody knows how large it is. Of each
cluster a hypergeometric test says whether it holds more of the window than chance would put there,
and Holm's correction whether any of so many tests may be believed. Clusters are made without
looking at who is from where, so the tests are exact, and correcting covers all of them.

A cluster holds neighbours of what is new, and misses its edge. So members are chosen one by one:
vectors of the window that lie in a grown cluster, or next to those, and among whose own nearest
neighbours the window is over-represented. What hangs together by neighbourhood is one slice. That
only says *which* vectors; that there is a slice at all is for the tests alone to say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.clusters import kmeans
from vagus.detection.drift.reference import Floats, Vectors

CLUSTERS = (30, 90)
ROUNDS = 8
"""Of Lloyd's algorithm; later ones move a few points in a hundred."""
NEIGHBOURS = 12
CORE_SHARE, EDGE_SHARE = 0.35, 0.25
"""Of a vector's neighbours in the window, for one in a grown cluster, and for one next to those."""
TOUCHING = 2
"""Members among the neighbours of a vector that is next to them; and the least of a slice."""
EXAMPLES = 5

Numbers = NDArray[np.intp]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """A group of vectors there are more of than there were."""

    share_then: float
    """Of the reference."""
    share_now: float
    """Of the window."""
    p: float
    """The chance of any slice if nothing changed."""
    members: Numbers
    """Rows of the window, the most typical first."""
    examples: tuple[str, ...]
    """Labels of the most typical."""


def find(
    reference: Vectors,
    window: Vectors,
    labels: Sequence[str] = (),
    *,
    alpha: float = 0.05,
    seed: int = 0,
) -> list[Slice]:
    """The slices that have grown, the largest first; both tables hold rows of length one."""
    if len(window) <= NEIGHBOURS or len(reference) <= NEIGHBOURS:
        return []
    together = np.concatenate([reference, window])
    groups = [
        kmeans(together, min(k, len(together) // 4), seed, rounds=ROUNDS)[0] for k in CLUSTERS
    ]
    counts = [
        (np.bincount(g[len(reference) :], minlength=g.max() + 1), np.bincount(g)) for g in groups
    ]
    tested = [tails(now, size, len(window), len(together)) for now, size in counts]
    corrected = holm(np.concatenate(tested))
    least = np.ones(len(window))
    for group, p in zip(groups, np.split(corrected, [len(tested[0])]), strict=True):
        least = np.minimum(least, p[group[len(reference) :]])
    if not (least <= alpha).any():
        return []
    near = neighbours(window, together) - len(reference)  # below 0: of the reference
    members = chosen(near, least <= alpha)
    found = [
        _slice(reference, window, labels, rows, float(least[rows].min()))
        for rows in hanging_together(near, members)
        if len(rows) > TOUCHING and least[rows].min() <= alpha
    ]
    return sorted(found, key=lambda one: one.share_then - one.share_now)


def tails(now: Numbers, size: Numbers, drawn: int, population: int) -> Floats:
    """P(at least ``now`` of a cluster's ``size`` are among ``drawn`` of ``population``)."""
    logs = np.array([math.lgamma(n + 1.0) for n in range(population + 1)])
    every = logs[population] - logs[drawn] - logs[population - drawn]
    p = np.ones(len(size))
    for i, (least, of) in enumerate(zip(now.tolist(), size.tolist(), strict=True)):
        k = np.arange(max(least, drawn + of - population, 0), min(of, drawn) + 1)
        inside = logs[of] - logs[k] - logs[of - k]
        rest = population - of
        outside = logs[rest] - logs[drawn - k] - logs[rest - drawn + k]
        p[i] = min(float(np.exp(inside + outside - every).sum()), 1.0)
    return p


def holm(p: Floats) -> Floats:
    """Holm's step-down correction: what of each is left of its claim among all of them."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def neighbours(window: Vectors, together: Vectors) -> Numbers:
    """(window, NEIGHBOURS): rows of ``together``, which ends with the window, but itself."""
    similarity = window @ together.T
    own = np.arange(len(window))
    similarity[own, len(together) - len(window) + own] = -np.inf
    return np.argpartition(similarity, -NEIGHBOURS, axis=1)[:, -NEIGHBOURS:]


def chosen(near: Numbers, grown: Bools) -> Bools:
    """Which vectors of the window are members of what has grown."""
    share: Floats = (near >= 0).mean(axis=1)
    members: Bools = grown & (share >= CORE_SHARE)
    for _ in range(2):
        touching = (members[np.maximum(near, 0)] & (near >= 0)).sum(axis=1)
        members = members | ((share >= EDGE_SHARE) & (touching >= TOUCHING))
    return members


def hanging_together(near: Numbers, members: Bools) -> list[Numbers]:
    """The members, parted where no neighbourhood connects them."""
    leader = np.where(members, np.arange(len(members)), len(members))
    inside = (near >= 0) & members[np.maximum(near, 0)] & members[:, None]
    a, column = np.nonzero(inside)
    b = near[a, column]
    while True:  # each pass carries the smallest number over one more neighbourhood
        before = leader.copy()
        np.minimum.at(leader, a, leader[b])
        np.minimum.at(leader, b, leader[a])
        if (leader == before).all():
            return [np.flatnonzero(leader == one) for one in np.unique(leader[members])]


def _slice(
    reference: Vectors, window: Vectors, labels: Sequence[str], rows: Numbers, p: float
) -> Slice:
    centre = window[rows].mean(axis=0)
    typical = rows[np.argsort(-(window[rows] @ centre), kind="stable")]
    edge = np.quantile(window[rows] @ centre, 0.1)
    return Slice(
        share_then=float((reference @ centre >= edge).mean()),
        share_now=float((window @ centre >= edge).mean()),
        p=p,
        members=typical,
        examples=tuple(labels[i] for i in typical[:EXAMPLES] if i < len(labels) and labels[i]),
    )
