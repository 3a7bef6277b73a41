"""Drift of what is asked, found or answered: a stream of embeddings against a reference.

Each vector is judged once, in the order of arrival, however they are batched: by its novelty, which
is learned from all healthy vectors so far, and by the witness of the window before it. Both become
p-values (:mod:`.novelty`, :mod:`.witness`), these become wealth (:mod:`.evidence`), and an alarm is
wealth that reaches the declared run length. Then wealth starts again: while the change lasts there
will be another alarm, and false ones come once in a run length, for as long as it runs.

What can't be judged is counted by name and nothing else: a broken embedder is not a drift of users.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vagus.detection.drift import novelty
from vagus.detection.drift.evidence import Wealth
from vagus.detection.drift.reference import Reference, Rejection, Vectors, judged
from vagus.detection.drift.slices import Slice, find
from vagus.detection.drift.witness import Witness, kernel
from vagus.errors import StateError

RUN_LENGTH = 10_000.0
"""Vectors between two false alarms, on average, unless declared otherwise."""
RECENT = 400
"""Vectors that are kept, with their labels, to say what has changed: a few hundred kilobytes."""
CHUNK = 64
"""Vectors at a time: what a processor multiplies well, and few enough to stay in its cache."""


@dataclass(frozen=True)
class Alarm:
    """Wealth reached the declared run length."""

    at: int
    """The number of the vector, from 0, at which it did."""
    since: int
    """The vector with which the change most likely began: as far back as it pays to bet."""


@dataclass(frozen=True)
class Evidence:
    """After a batch."""

    seen: int
    """Vectors judged since the detector was made."""
    level: float
    """Wealth in nats; at most the logarithm of the vectors since the last alarm, on average."""
    needed: float
    """Nats at which there is an alarm."""
    alarm: Alarm | None
    """The first of this batch."""
    rejected: dict[Rejection, int] = field(default_factory=dict)
    """Of this batch."""


class Drift:
    """Raises MalformedData from ``Reference.of``; :meth:`observe` never raises for bad vectors."""

    def __init__(
        self, reference: Reference, *, run_length: float = RUN_LENGTH, seed: int = 0
    ) -> None:
        if not run_length >= 2.0:
            raise ValueError("a run length is at least 2 vectors")
        rows, memory = reference.vectors, reference.memory
        self.reference = reference
        self.run_length = run_length
        self.seen = 0
        self.alarms = 0
        self.rejected: Counter[Rejection] = Counter()
        self.chance = np.random.default_rng(seed)
        near = kernel(rows[memory:] @ rows[:memory].T, reference.spread)
        self._calibration = novelty.calibrate(near)
        self._witness = Witness.of(rows, reference.spread)
        self._wealth = Wealth.of(len(rows), run_length)
        self._recent: Vectors = np.zeros((0, reference.dimension), np.float32)
        self._labels: list[str] = []

    def observe(self, vectors: ArrayLike, labels: Sequence[str] = ()) -> Evidence:
        """Judge a batch, shape (n, dimension) or (dimension), in its order.

        ``labels`` (texts or their ids, one for each vector) come back as examples; they stay in
        memory and are no part of a snapshot.
        """
        (good, numbers), rejected = judged(vectors, self.reference.dimension)
        self.rejected.update(rejected)
        alarm = None
        for start in range(0, len(good), CHUNK):
            first = self._chunk(good[start : start + CHUNK])
            alarm = alarm or first
        self._remember(good, [labels[i] if i < len(labels) else "" for i in numbers])
        level = math.log(max(self._wealth.average, 1e-300))
        return Evidence(self.seen, level, math.log(self.run_length), alarm, rejected)

    def slices(self, since: int | None = None, *, alpha: float = 0.05) -> list[Slice]:
        """Which groups of vectors there are more of than in the reference, the largest first;
        ``since`` a vector (an alarm's), or of all that is kept. Not more than ``alpha`` of calls
        name one by chance."""
        held = len(self._recent)
        skip = 0 if since is None else max(0, held - max(self.seen - since, 0))
        return find(self.reference.vectors, self._recent[skip:], self._labels[skip:], alpha=alpha)

    def _chunk(self, vectors: Vectors) -> Alarm | None:
        reference = self.reference
        near = kernel(vectors @ reference.vectors.T, reference.spread)
        # One draw a vector and p-value, in order: a batch cut otherwise draws the same.
        chance = 1.0 - self.chance.random((len(vectors), 2))
        bins = novelty.bins_of(near[:, : reference.memory])
        p = np.stack(
            [
                novelty.ranks(self._calibration, bins, chance[:, 0]),
                self._witness.ranks(vectors, near, chance[:, 1]),
            ],
            axis=1,
        )
        alarm = None
        for pair in p:
            if self._wealth.add(self.seen, pair) >= self.run_length:
                alarm = alarm or Alarm(self.seen, self._wealth.start)
                self.alarms += 1
                self._wealth.restart()
            self.seen += 1
        return alarm

    def _remember(self, vectors: Vectors, labels: list[str]) -> None:
        self._recent = np.concatenate([self._recent, vectors])[-RECENT:]
        self._labels = (self._labels + labels)[-RECENT:]

    @property
    def in_window(self) -> int:
        """Vectors that have passed through the witness's window."""
        return self._witness.seen

    def parts(self) -> dict[str, NDArray[np.generic]]:
        """All columns that are learned, by name; they are the detector's own, not copies."""
        witness, wealth = self._witness, self._wealth
        return {
            "calibration": self._calibration,
            "rows": witness.rows,
            "window": witness.window,
            "kernels": witness.kernels,
            "window_sums": witness.sums,
            "sums": wealth.sums,
            "best": wealth.best,
            "began": wealth.began,
            "recent": self._recent,
        }

    def adopt(self, parts: Mapping[str, NDArray[np.generic]], in_window: int) -> None:
        """Take over what :meth:`parts` gave. Raises StateError if it is of another shape."""
        for name, own in self.parts().items():
            given = parts[name]
            if given.dtype != own.dtype or given.shape[1:] != own.shape[1:]:
                raise StateError(f"the column {name} of a detector of drift has another shape")
        for name, own in self.parts().items():
            if name != "recent":
                own[...] = parts[name]
        self._recent = parts["recent"].astype(np.float32)
        self._labels = [""] * len(self._recent)
        self._witness.seen = in_window
