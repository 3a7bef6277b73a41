"""Which series are judged, and what is known of each beforehand.

The catalogue says which direction of a signal is worse and what is too little to matter. What is
bad in neither direction says how much there is to do, not how well it is done: it isn't judged, and
some of it is the *demand* against which the rest is. A replica's demand is what it is asked itself;
that of a component as a whole, and of a cohort of its callers, is what all replicas are asked.

Siblings are the replicas of a component in one signal by one sense; the cohorts of its callers are
siblings likewise, so that one cohort that fares worse than the others stands out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vagus.detection.baseline.fleet import Fleet
from vagus.model import Sense, Subject, signals
from vagus.model.series import Column, Floats, Series, SeriesKey
from vagus.model.signals import SIGNALS, SignalKind, Worse

DEMAND_TICKS = 10
"""Demand is averaged over these: a queue remembers, and single arrivals are noise."""
_DEMANDS = (
    (signals.ATTEMPTS, Sense.GATEWAY),
    (signals.REQUESTS, Sense.SCRAPE),
    (signals.GATEWAY_REQUESTS, Sense.GATEWAY),
    (signals.CLIENT_OPERATIONS, Sense.PUSH),
    (signals.DB_OPERATIONS, Sense.PUSH),
)
"""What may tell how much is asked, the best first."""
_DIRECTION = {Worse.UP: 1, Worse.DOWN: -1}
_SEPARATOR = "|"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a user may know better than the catalogue. ``least`` is how many values must have been
    seen before anything is judged; None is what the detector takes by itself."""

    worse: Worse
    floor: float
    least: int | None = None


def name_of(key: SeriesKey) -> str:
    return _SEPARATOR.join((str(key.subject), key.signal, key.sense, key.cohort))


def key_of(name: str) -> SeriesKey:
    """Of a name that :func:`name_of` made; ValueError for another."""
    subject, signal, sense, cohort = name.split(_SEPARATOR, 3)
    return SeriesKey(Subject.parse(subject), signal, Sense(sense), cohort)


class Roster:
    """The series of ``fleet``, kept in step with the columns that telemetry writes.

    Series that the fleet knows from a snapshot keep their places while they are not there yet;
    those that it doesn't know begin with what ``teacher`` knows of them.
    """

    def __init__(
        self,
        fleet: Fleet,
        traits_of: Callable[[str], Traits],
        *,
        demand_ticks: int = DEMAND_TICKS,
        teacher: Fleet | None = None,
    ) -> None:
        self._fleet = fleet
        self._teacher = teacher
        self._demand_ticks = demand_ticks
        self._traits_of = traits_of
        self._followed: Series | None = None
        self._members: frozenset[Subject] = frozenset()
        self.keys: list[SeriesKey] = []  # by place in the fleet
        self.group: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._source: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._drivers: list[tuple[int, ...]] = []  # columns that sum up to a demand
        self._driver: NDArray[np.intp] = np.empty(0, dtype=np.intp)
        self._recent: Floats = np.empty((demand_ticks, 0))
        self._tick = 0

    def follow(self, series: Series, members: frozenset[Subject]) -> Sequence[str] | None:
        """Have exactly what is to be judged of ``series``, and of those known from before whose
        subject is among ``members``. The names in their places before, if places have changed."""
        if series is self._followed and members == self._members:
            return None
        before = list(self._fleet.names)
        self._followed, self._members = series, members
        column_of = {key: column for column, key in enumerate(series) if key is not None}
        known = set(self._fleet.names)
        left = [name for name in self._fleet.names if not self._stays(name)]
        if left:
            self._fleet.remove(left)
        fresh = [name_of(key) for key in column_of if self._is_judged(key)]
        fresh = [name for name in fresh if name not in known]
        if fresh:
            self._fleet.add(fresh)
            if self._teacher is not None:
                self._fleet.inherit(self._teacher, fresh)
        self.keys = [key_of(name) for name in self._fleet.names]
        self._source = np.array([column_of.get(key, -1) for key in self.keys], dtype=np.intp)
        self._set_traits()
        self._set_drivers(column_of)
        return before

    def values(self, column: Column) -> Floats:
        """Of each series in its place; NaN where nothing was seen."""
        if not len(self._source):
            return np.empty(0)
        values: Floats = np.where(self._source >= 0, column.values[self._source], np.nan)
        return values

    def demand(self, column: Column) -> Floats:
        """What drives each series; NaN where nothing is known to."""
        now = np.array([np.nansum(column.values[list(which)]) for which in self._drivers])
        blind = [bool(np.isnan(column.values[list(which)]).all()) for which in self._drivers]
        now[np.array(blind, dtype=bool)] = np.nan
        self._recent[self._tick % self._demand_ticks] = now
        self._tick += 1
        told = ~np.isnan(self._recent)
        with np.errstate(invalid="ignore"):
            mean = np.nansum(self._recent, axis=0) / told.sum(axis=0)
        padded = np.append(mean, np.nan)
        demand: Floats = padded[self._driver]
        return demand

    def _stays(self, name: str) -> bool:
        try:
            key = key_of(name)
        except ValueError:
            return False  # a snapshot of another time, with other senses
        return key.subject in self._members and key.signal in SIGNALS and self._is_judged(key)

    def _is_judged(self, key: SeriesKey) -> bool:
        return self._traits_of(key.signal).worse in _DIRECTION and key.subject in self._members

    def _set_traits(self) -> None:
        traits = [self._traits_of(key.signal) for key in self.keys]
        groups: dict[tuple[object, ...], int] = {}
        self.group = np.array(
            [groups.setdefault(_siblings(key), len(groups)) for key in self.keys], dtype=np.int32
        )
        self._fleet.arrange(
            direction=[_DIRECTION[trait.worse] for trait in traits],
            floor=[trait.floor for trait in traits],
            least=[trait.least for trait in traits],
            group=self.group,
        )

    def _set_drivers(self, column_of: Mapping[SeriesKey, int]) -> None:
        own = {subject: which for subject in self._members if (which := _asked(subject, column_of))}
        drivers: dict[Subject, tuple[int, ...]] = {}
        for subject in self._members:
            columns = own.get(subject) or tuple(
                column
                for other, which in own.items()
                if not subject.replica and other.replica and other.component == subject.component
                for column in which
            )
            if columns:
                drivers[subject] = columns
        places = {subject: place for place, subject in enumerate(drivers)}
        self._drivers = list(drivers.values())
        self._driver = np.array(
            [
                places.get(k.subject, len(places)) if _is_driven(k) else len(places)
                for k in self.keys
            ],
            dtype=np.intp,
        )
        self._recent = np.full((self._demand_ticks, len(drivers)), np.nan)


def _asked(subject: Subject, column_of: Mapping[SeriesKey, int]) -> tuple[int, ...]:
    for signal, sense in _DEMANDS:
        column = column_of.get(SeriesKey(subject, signal, sense))
        if column is not None:
            return (column,)
    return ()


def _is_driven(key: SeriesKey) -> bool:
    """Quality is not: a good answer is a good answer at any load."""
    return SIGNALS[key.signal].kind is not SignalKind.QUALITY


def _siblings(key: SeriesKey) -> tuple[object, ...]:
    """Whom it is compared with: nobody else shares this."""
    whole = key.subject if not (key.subject.replica or key.cohort) else None
    return (key.subject.component, key.signal, key.sense, bool(key.cohort), whole)


def related(subjects: Iterable[Subject], keys: Sequence[SeriesKey]) -> NDArray[np.bool_]:
    """Which of ``keys`` are of one of ``subjects``, or of the component it is a part of."""
    exact = set(subjects)
    components = {subject.component for subject in exact}
    return np.array(
        [
            key.subject in exact
            or (not key.subject.replica and key.subject.component in components)
            for key in keys
        ],
        dtype=bool,
    )
