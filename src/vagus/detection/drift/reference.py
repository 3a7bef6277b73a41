"""What is healthy: a few thousand embeddings of a time when all was well, and whose they are.

A reference belongs to one embedding model and one index. Vectors of another model can't be compared
with it, so it carries both versions, and whoever rolls one of them out takes a new reference.

Embeddings are judged by direction: each is scaled to length one. Whether lengths have changed is a
question about the model's identity, which is asked elsewhere, of fixed sentences.

One part of the rows is *memory*, to which novelty is the distance; the rest is *calibration*, which
says how novel healthy vectors are that the memory hasn't seen. They are split by a seeded draw,
never by order: rows come as they were collected, and a reference's last hour is not like its first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vagus.errors import MalformedData

Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]

LEAST = 200
"""Vectors without which nothing is said: a rank among fewer can't be rare."""
MEMORY_SHARE = 0.75
"""Novelty gains from memory, and calibration grows by itself."""
SPREAD_ROWS = 500
LEAST_SPREAD = 1e-4
"""What the rounding of 32 bits leaves of a distance is a thousandth of it."""


class Rejection(StrEnum):
    """Why a vector is not looked at."""

    NOT_NUMBERS = "not-numbers"
    OTHER_DIMENSION = "other-dimension"
    NOT_FINITE = "not-finite"
    NO_DIRECTION = "no-direction"
    """All zeros: what a broken embedder answers."""


@dataclass(frozen=True)
class Reference:
    """Healthy embeddings, shape (rows, dimension), each of length one; memory first."""

    vectors: Vectors
    memory: int
    """How many of the rows, from the first, are memory."""
    model: str
    index: str
    spread: float
    """The median distance (1 - cosine) between two of them: what near and far mean here."""

    @classmethod
    def of(cls, vectors: ArrayLike, *, model: str, index: str = "", seed: int = 0) -> Reference:
        """From raw embeddings. Raises MalformedData if they can't be a reference."""
        rows = np.asarray(vectors)
        if rows.ndim != 2 or rows.dtype.kind not in "fiu":
            raise MalformedData("a reference is a table of numbers, a row for each embedding")
        good, rejected = directions(rows, rows.shape[1])
        if rejected:
            reasons = ", ".join(f"{count} {why}" for why, count in rejected.items())
            raise MalformedData(f"a reference can't hold these rows: {reasons}", mend="drop them")
        if len(good) < LEAST:
            raise MalformedData(
                f"a reference of {len(good)} embeddings", mend=f"collect at least {LEAST}"
            )
        shuffled = good[np.random.default_rng(seed).permutation(len(good))]
        memory = int(MEMORY_SHARE * len(good))
        # Of memory alone: what calibrates may not choose the score that it calibrates.
        some = shuffled[:memory][:SPREAD_ROWS]
        distance = (1.0 - some @ some.T)[np.triu_indices(len(some), 1)]
        spread = float(np.median(distance))
        if spread < LEAST_SPREAD:
            raise MalformedData("all embeddings of the reference are the same")
        return cls(shuffled, memory, model, index, spread)

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])

    @property
    def digest(self) -> str:
        """What it is, by content."""
        about = f"{self.model}\0{self.index}\0{self.vectors.shape}\0{self.memory}\0".encode()
        return hashlib.sha256(about + self.vectors.tobytes()).hexdigest()[:16]


def directions(rows: ArrayLike, dimension: int) -> tuple[Vectors, dict[Rejection, int]]:
    """The rows that can be judged, scaled to length one, and how many could not be, and why."""
    good, rejected = judged(rows, dimension)
    return good[0], rejected


def judged(
    rows: ArrayLike, dimension: int
) -> tuple[tuple[Vectors, NDArray[np.intp]], dict[Rejection, int]]:
    """As :func:`directions`, with the numbers of the rows that are good."""
    nothing = np.empty((0, dimension), np.float32), np.empty(0, np.intp)
    try:
        table = np.atleast_2d(np.asarray(rows, dtype=np.float64))
    except (TypeError, ValueError):
        return nothing, {Rejection.NOT_NUMBERS: 1}
    if table.size == 0:
        return nothing, {}
    if table.ndim != 2 or table.shape[1] != dimension:
        return nothing, {Rejection.OTHER_DIMENSION: len(table)}
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(table, axis=1)
    finite = np.isfinite(lengths)
    good = np.flatnonzero(finite & (lengths > 0.0))
    rejected: dict[Rejection, int] = {}
    if not finite.all():
        rejected[Rejection.NOT_FINITE] = int((~finite).sum())
    if zeros := int((lengths == 0.0).sum()):
        rejected[Rejection.NO_DIRECTION] = zeros
    scaled = (table[good] / lengths[good, None]).astype(np.float32)
    return (scaled, good), rejected
