"""Series and their ticks: what telemetry hands on at the end of a tick, to whoever looks at all of
them at once or keeps them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.model.evidence import Sense
from vagus.model.subject import Subject

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """One signal of one subject, by one sense: what the server says of itself and what its callers
    meet are two series, and that they differ can be the finding. Of a component there is a series
    for each cohort of its callers, too."""

    subject: Subject
    signal: str
    sense: Sense
    cohort: str = ""


Series = tuple[SeriesKey | None, ...]
"""Who has which row; None for a row that is free."""


@dataclass(frozen=True, slots=True)
class Column:
    """One tick of all series: ``values[i]`` belongs to ``series[i]``, NaN where nothing was seen.

    ``series`` is the same object from tick to tick until a row is given to another series.
    """

    at: float
    series: Series
    values: Floats
