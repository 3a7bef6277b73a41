"""The scoring of the Numenta Anomaly Benchmark, from its definition (Lavin and Ahmad 2015).

A detector gives each point a score; a threshold makes detections of it. The earliest detection in
a labelled window earns up to 1, the more the earlier, by a sigmoid over the window; a window that
is missed costs the weight of a false negative; a detection outside costs up to the weight of a
false positive, less when it comes shortly after a window. The first 15 % of a file (of at most
5,000 points) are for learning and don't count. A corpus is scaled so that 0 is saying nothing and
100 the earliest detection of every window and nothing else.

Three profiles weigh the mistakes differently. As in the original, each has its own threshold; here
it is chosen on other files than those that are scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PROBATION, PROBATION_OF_AT_MOST = 0.15, 5000


@dataclass(frozen=True)
class Profile:
    """What a right detection, a false one and a missed window weigh."""

    hit: float
    false_alarm: float
    miss: float


PROFILES: Mapping[str, Profile] = {
    "standard": Profile(1.0, 0.11, 1.0),
    "low_fp": Profile(1.0, 0.22, 1.0),
    "low_fn": Profile(1.0, 0.11, 2.0),
}


@dataclass(frozen=True)
class Scored:
    """A file's scores and its windows as (first, last) indices, both inclusive."""

    scores: Floats
    windows: Sequence[tuple[int, int]]

    @property
    def probation(self) -> int:
        return int(PROBATION * min(len(self.scores), PROBATION_OF_AT_MOST))


def sigmoid(position: Floats) -> Floats:
    """1 far before, 0 at, -1 far after a window's end; ``position`` in widths of the window."""
    inside = np.clip(position, -10.0, 3.0)
    return np.where(position > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * inside)) - 1.0)


def curve(file: Scored, thresholds: Floats) -> tuple[Floats, Floats, Floats]:
    """At each threshold (ascending): the rewards, the false alarms' costs (>= 0) and the misses."""
    rewards, misses = np.zeros(len(thresholds)), np.zeros(len(thresholds))
    for first, last in file.windows:
        begin = max(first, file.probation)
        highest = np.maximum.accumulate(file.scores[begin : last + 1])
        where = begin + np.searchsorted(highest, thresholds, side="left")
        width = last - first + 1
        reward = sigmoid(-(last - where + 1.0) / width) / sigmoid(np.array(-1.0))
        found = where <= last
        rewards += np.where(found, reward, 0.0)
        misses += ~found
    costs = _costs(file)
    outside = np.flatnonzero(costs > 0)
    order = outside[np.argsort(file.scores[outside], kind="stable")]
    from_here = np.append(np.cumsum(costs[order][::-1])[::-1], 0.0)
    at = np.searchsorted(file.scores[order], thresholds, side="left")
    return rewards, from_here[at], misses


def _costs(file: Scored) -> Floats:
    """What a detection at each point costs before it is weighed; 0 where it costs nothing."""
    index = np.arange(len(file.scores), dtype=float)
    costs = np.ones(len(index))
    for first, last in sorted(file.windows):
        after = index > last
        costs[after] = -sigmoid((index[after] - last) / max(last - first, 1))
        costs[first : last + 1] = 0.0
    costs[: file.probation] = 0.0
    return costs


class Corpus:
    """Some files, each scored at all thresholds once, so that halves of them are sums."""

    def __init__(self, files: Sequence[Scored], candidates: int = 4000) -> None:
        self.windows = np.array([len(file.windows) for file in files], dtype=float)
        pooled = np.unique(np.concatenate([file.scores[file.probation :] for file in files]))
        if len(pooled) > candidates:  # dense where it matters: among the highest
            ranks = len(pooled) - np.unique(np.geomspace(1, len(pooled), candidates).astype(int))
            pooled = pooled[np.sort(ranks)]
        self.thresholds = np.append(pooled, np.nextafter(pooled[-1], np.inf))
        self._raw = [curve(file, self.thresholds) for file in files]

    def totals(self, which: NDArray[np.intp], profile: Profile) -> Floats:
        """The scaled score of the chosen files, at each threshold."""
        total = np.zeros(len(self.thresholds))
        for number in which:
            rewards, costs, misses = self._raw[number]
            total += profile.hit * rewards - profile.false_alarm * costs - profile.miss * misses
        windows = float(self.windows[which].sum())
        nothing = -profile.miss * windows
        return 100.0 * (total - nothing) / max(profile.hit * windows - nothing, 1e-9)

    def held_out(self, profile: Profile, splits: int = 20, seed: int = 0) -> Floats:
        """Scores of one half of the files at the threshold that is best on the other half."""
        random = np.random.default_rng(seed)
        scores = []
        for _ in range(splits):
            order = random.permutation(len(self._raw))
            learn, judge = order[: len(order) // 2], order[len(order) // 2 :]
            if not self.windows[judge].any():
                continue
            best = int(np.argmax(self.totals(learn, profile)))
            scores.append(float(self.totals(judge, profile)[best]))
        return np.array(scores)
