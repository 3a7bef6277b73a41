"""Where the last few hundred vectors are denser than the reference: the witness of MMD.

Novelty is blind to a new topic amid the old ones, and to an old one that grows. The witness is not:
at any place it is the mean kernel to the recent window minus the mean kernel to the reference, the
function in which the two differ most (Gretton et al., *A kernel two-sample test*, JMLR 2012). It is
made of what came *before* a vector, and the vector is judged by it: a high value, time after time,
means that the recent past predicts where vectors now fall, and the reference does not.

A value becomes a p-value by its rank among the values that the reference's own rows have under the
same witness, each compared with all other rows but itself, so that a new vector and a row of the
reference are in the same position. While all is well this p-value is uniform at each step, given
the window. But the same rows are ranked against step after step: its error, one in the square
root of the rows, lasts as long as the window does. :mod:`.evidence` charges for that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.detection.drift.reference import Floats, Vectors

WINDOW = 200
"""Vectors that make the witness: a tenth of them are twenty, enough to see a topic; a longer window
is full of what was before the change."""
WIDTH = 0.4
"""Of the kernel exp((similarity - 1) / width), in spreads of the reference: so that it tells what
is about the same thing from what is not, for any embedding model."""
WARM = 20
"""Vectors in the window without which there is no witness, and the p-value is chance."""


def kernel(similarity: NDArray[np.float32], spread: float) -> NDArray[np.float32]:
    steepness = np.float32(1.0 / (WIDTH * spread))
    result: NDArray[np.float32] = np.exp((similarity - np.float32(1.0)) * steepness)
    return result


@dataclass
class Witness:
    """The window, and what it makes of each row of the reference."""

    rows: Floats
    """(reference): sum of the kernel of each row to all other rows."""
    window: Vectors
    """(WINDOW, dimension): a ring of the last vectors."""
    kernels: NDArray[np.float32]
    """(WINDOW, reference): their kernels to the rows of the reference."""
    sums: Floats
    """(reference): those of the window added up."""
    spread: float
    seen: int = 0

    @classmethod
    def of(cls, reference: Vectors, spread: float) -> Witness:
        size, dimension = reference.shape
        rows = np.empty(size)
        for start in range(0, size, 256):  # never the whole table at once
            block = kernel(reference[start : start + 256] @ reference.T, spread)
            rows[start : start + 256] = block.sum(axis=1, dtype=np.float64)
        own = kernel(np.einsum("ij,ij->i", reference, reference), spread).astype(np.float64)
        return cls(
            rows=rows - own,
            window=np.zeros((WINDOW, dimension), np.float32),
            kernels=np.zeros((WINDOW, size), np.float32),
            sums=np.zeros(size),
            spread=spread,
        )

    def ranks(self, vectors: Vectors, near: NDArray[np.float32], chance: Floats) -> Floats:
        """The p-value of each of a batch, in order; then they are in the window.

        ``near`` is the kernel of each vector to each row of the reference; ``chance`` is uniform.
        """
        size = len(self.rows)
        p = np.empty(len(vectors))
        among = kernel(vectors @ np.concatenate([self.window, vectors]).T, self.spread)
        columns = np.arange(WINDOW)  # which column of ``among`` each place of the ring is
        own = near.sum(axis=1, dtype=np.float64)
        for i, row in enumerate(near):
            held = min(self.seen, WINDOW)
            if held < WARM:
                p[i] = chance[i]
            else:
                value = float(among[i, columns[:held]].sum(dtype=np.float64)) / held - own[i] / size
                others = self.sums / held - (self.rows + row) / size
                above = np.count_nonzero(others > value)
                p[i] = (above + chance[i]) / (size + 1)
            place = self.seen % WINDOW
            if self.seen >= WINDOW:
                self.sums -= self.kernels[place]
            self.sums += row
            self.kernels[place] = row
            self.window[place] = vectors[i]
            columns[place] = WINDOW + i
            self.seen += 1
        return p
