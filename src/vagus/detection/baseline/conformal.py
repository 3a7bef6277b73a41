"""Conformal p-values: how often a series has deviated at least this much before, by rank alone.

No distribution is assumed. Deviations are counted in logarithmic bins (integers, so the rank is
exact and merging is addition); a new one takes its place at random among those of its own bin and
itself. If the deviations are exchangeable, that p-value is exactly uniform from the first tick on
and independent of the earlier ones (Vovk et al. 2005), whatever their tails are. It can't be
smaller than one in the number of deviations remembered, which is why one tick never makes an alarm:
evidence has to add up (:mod:`.evidence`).

Bins come from a float's own exponent and two bits of its mantissa, which is exact, so that the
compiled kernels and this module put each value into the same one. Random numbers are a hash of the
series' name, the tick and the purpose: the same whatever other series there are and in which order
they stand.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vagus.detection.baseline.tuning import SCORE_BINS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.uint16]
Keys = NDArray[np.uint64]
Rows = Any
"""What selects the rows of a tick: all of them as a slice (no copies), or some by index."""

_LOWEST_OCTAVE = -3
_STEP, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
STREAMS = 8
"""Purposes for which a series draws a number in a tick."""


def key_of(name: str, seed: int) -> int:
    """64 bits that stand for a series in its draws."""
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def uniform(keys: Keys, tick: int, stream: int) -> Floats:
    """One number in (0, 1) for each series (the finaliser of SplitMix64 as a counter's hash)."""
    offset = np.uint64((tick * STREAMS + stream + 1) * _STEP & 0xFFFFFFFFFFFFFFFF)
    with np.errstate(over="ignore"):
        mixed = keys + offset
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_MIX_1)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_MIX_2)
        mixed = mixed ^ (mixed >> np.uint64(31))
    result: Floats = ((mixed >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return result


def bins(scores: Floats) -> NDArray[np.intp]:
    """The bin of each score (>= 0)."""
    mantissa, exponent = np.frexp(scores)
    quarter = (mantissa * 8.0).astype(np.intp) - 4
    place = (exponent.astype(np.intp) - 1 - _LOWEST_OCTAVE) * 4 + quarter
    return np.clip(np.where(scores > 0.0, place, 0), 0, SCORE_BINS - 1)


def p_values(counts: Counts, place: NDArray[np.intp], draw: Floats) -> Floats:
    """The share of deviations as large as this one, among those counted and itself."""
    column = np.arange(counts.shape[1])
    above = np.where(column[None, :] > place[:, None], counts, 0).sum(axis=1, dtype=np.int64)
    own = np.take_along_axis(counts, place[:, None], axis=1)[:, 0].astype(np.int64)
    total = counts.sum(axis=1, dtype=np.int64)
    result: Floats = (above + draw * (own + 1)) / (total + 1)
    return result


def learn(counts: Counts, place: NDArray[np.intp], teach: Bools, memory: float) -> Counts:
    """The counts with one more where ``teach``; halved, rounded up, where they are too many.

    Rounding up keeps the rare large deviations, so it errs towards fewer alarms."""
    grown = counts.copy()
    grown[np.arange(len(grown)), place] += teach.astype(np.uint16)
    full = grown.sum(axis=1, dtype=np.int64) >= memory
    if full.any():
        grown[full] = (grown[full] + 1) >> 1
    return grown
