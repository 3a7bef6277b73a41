"""How far a vector is from anything remembered, as a p-value that is exactly uniform.

The score is the distance to the nearest rows of the memory, softly: how little of a narrow kernel
they hold. That is the nearest neighbour's distance where there is one near, and counts several
where several are as near. A p-value is its rank among the scores
of all healthy vectors seen so far: those of the calibration rows and then each one that was judged.
That the calibration *grows* is the point. Ranks among a growing set are independent and uniform
whatever the distribution (Vovk, Gammerman and Shafer, *Algorithmic learning in a random world*, 8),
so evidence made of them keeps its promise for ever. Ranks among a fixed set are not: its error
stays, and adds up to a false alarm.

Scores are counted in fixed bins of distance; equal ones are ordered by chance. Any score will do
for the guarantee, a rounded one as well, so memory stays constant and nothing is approximate. The
bins may not depend on the data, or the guarantee would.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vagus.detection.drift.reference import Floats

BINS = 8192
STEP = 0.01
"""Of the score, in nats; a vector that is twice as far is some hundred steps further."""

Counts = NDArray[np.int64]


def bins_of(near: NDArray[np.float32]) -> NDArray[np.intp]:
    """The bin of each row of kernels (n, memory), in (0, 1]; a higher bin is more novel."""
    held = _power(near).sum(axis=1, dtype=np.float64)
    score = np.log(near.shape[1]) - np.log(np.maximum(held, 1e-35))  # 0 .. 90
    bins: NDArray[np.intp] = np.clip(score / STEP, 0, BINS - 1).astype(np.intp)
    return bins


def _power(near: NDArray[np.float32]) -> NDArray[np.float32]:
    """The narrow kernel is the twentieth power of the witness's: a twentieth as wide."""
    second = near * near
    fourth = second * second
    sixteenth = (fourth * fourth) ** 2
    twentieth: NDArray[np.float32] = sixteenth * fourth
    return twentieth


def calibrate(near: NDArray[np.float32]) -> Counts:
    """How many calibration rows are in each bin; their kernels to the memory are ``near``."""
    return np.bincount(bins_of(near), minlength=BINS).astype(np.int64)


def ranks(counts: Counts, bins: NDArray[np.intp], chance: Floats) -> Floats:
    """The p-value of each of a batch, in order, and ``counts`` with the batch in it.

    ``chance`` is uniform on (0, 1), one for each; it orders what is equal.
    """
    before = int(counts.sum())
    above = before - np.cumsum(counts)[bins]
    equal = counts[bins]
    number = np.arange(len(bins))
    earlier = number[:, None] > number
    above = above + (earlier & (bins > bins[:, None])).sum(axis=1)
    equal = equal + (earlier & (bins == bins[:, None])).sum(axis=1)
    np.add.at(counts, bins, 1)
    p: Floats = (above + chance * (equal + 1)) / (before + number + 1)
    return p
