"""What is asked of a collection, and what searches of it were like.

A *collection* is a table or collection of a vector store. It is a subject as a replica is one, by
the name of its component and its own: ``vectors/passages``. A search is judged against an exact
search of the same rows at the same moment, so that nobody has to know what is right in order to see
that the index gives something else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Document:
    """One row of a collection. ``text`` is what a person can tell it by, or empty."""

    id: str
    text: str
    vector: Vector


@dataclass(frozen=True, slots=True)
class Query:
    """One query to try. ``expected`` are the documents that must be among the nearest (a *golden*
    query); none: it is only compared with an exact search."""

    text: str
    vector: Vector
    cluster: str = ""
    expected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Slice:
    """Searches of one cluster of queries: how many, the mean of their recall and its variance."""

    cluster: str
    count: int
    recall: float
    variance: float = 0.0

    @property
    def error(self) -> float:
        """Standard error of the mean; of few searches, as if they varied by a tenth at least."""
        return float((max(self.variance, 0.01) / max(self.count, 1)) ** 0.5)


@dataclass(frozen=True, slots=True)
class Searches:
    """What searches of a collection were like in a time: all of them, and by cluster."""

    whole: Slice
    returned: float  # rows, as a share of those that exact search gives
    latency: float  # s, median, by the index
    slices: tuple[Slice, ...] = ()
