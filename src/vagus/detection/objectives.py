"""What callers were promised: a finding where an error budget burns too fast, and what is left.

How fast is too fast is in :mod:`.baseline.burn`. Requests are counted at the gateway, attempt by
attempt, and of a component as a whole: a promise is broken by whoever breaks it. What is left of
the budget over the objective's own window (30 days) outlives the process: it is kept by hours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vagus.config import Objective
from vagus.detection.baseline.burn import PAIRS, Burn
from vagus.detection.reading import Reading, State
from vagus.detection.register import Register
from vagus.model import Evidence, Finding, Sense, Subject, Symptom, signals
from vagus.model.series import Column, Series

HOUR_S, DAY_S = 3600.0, 86400.0
Keep = Callable[[str, int, float, float, int], None]
"""Component, hour, requests that failed in it, all of them; the oldest hour that is still needed"""


class Objectives:
    """A :class:`~vagus.detection.detectors.Detector` of ``objectives``.

    ``kept`` are the requests counted in earlier hours, by component: (hour, failed, all), where an
    hour is counted from the Unix epoch; ``keep`` is told the sum of an hour when it has ended, and
    of the present one by :meth:`close`.
    """

    def __init__(
        self,
        objectives: Sequence[Objective],
        kept: Mapping[str, Sequence[tuple[int, float, float]]] | None = None,
        keep: Keep | None = None,
    ) -> None:
        self._objectives = tuple(objectives)
        self._burn = Burn([objective.at_most for objective in objectives])
        self._register = Register()
        self._changes: list[Finding] = []
        self._keep = keep
        self._series: Series | None = None
        self._columns: list[tuple[list[int], list[int]]] = []
        self._at: float | None = None
        self._hours: dict[str, dict[int, tuple[float, float]]] = {
            objective.subject: {
                hour: (failed, everything)
                for hour, failed, everything in (kept or {}).get(objective.subject, ())
            }
            for objective in objectives
        }

    # --- the detector ----------------------------------------------------------------------------

    def observe(self, batch: Sequence[Evidence]) -> None:
        """Nothing: objectives look at ticks."""

    def evaluate(self, now: float) -> Sequence[Finding]:
        changes, self._changes = self._changes, []
        return changes

    def open_findings(self) -> Sequence[Finding]:
        return self._register.all()

    def forget(self, subject: Subject, at: float | None = None) -> None:
        """Nothing: a promise is not made by a process."""

    # --- the tick --------------------------------------------------------------------------------

    def tick(self, column: Column) -> None:
        """Count the requests of one tick. After a jump of the clock nobody knows how long it was,
        and none are."""
        if not self._objectives:
            return
        seconds = column.at - self._at if self._at is not None else 0.0
        self._at = column.at
        self._follow(column.series)
        counts = [
            tuple(seconds * float(np.nansum(column.values[rows])) for rows in pair)
            for pair in self._columns
        ]
        failed = np.array([bad for bad, _ in counts])
        everything = np.array([whole for _, whole in counts])
        if not 0 < seconds < HOUR_S:
            failed[:], everything[:] = 0.0, 0.0
        self._count(column.at, failed.tolist(), everything.tolist())
        burning = self._burn.update(column.at, failed, everything)
        for place, objective in enumerate(self._objectives):
            rate, minutes = float(burning.rate[place]), float(burning.since_minutes[place])
            reading = self._reading(objective, column.at, rate, minutes)
            changed = self._register.apply(Subject(objective.subject), reading, column.at)
            if changed is not None:
                self._changes.append(changed)

    def left(self) -> Mapping[str, float]:
        """By component: the share of its error budget that is left in the objective's window, the
        least of its objectives; below 0 once it is overdrawn."""
        shares: dict[str, float] = {}
        for objective in self._objectives:
            left = self._left(objective)
            shares[objective.subject] = min(shares.get(objective.subject, left), left)
        return shares

    def close(self) -> None:
        """Keep what is known of the present hour."""
        for component, hours in self._hours.items():
            if hours:
                self._kept(component, max(hours))

    def _left(self, objective: Objective) -> float:
        hours = self._hours[objective.subject]
        oldest = int(((self._at or 0.0) - objective.over) // HOUR_S)
        failed = sum(bad for hour, (bad, _) in hours.items() if hour > oldest)
        everything = sum(whole for hour, (_, whole) in hours.items() if hour > oldest)
        allowed = objective.at_most * everything
        return 1.0 - failed / allowed if allowed > 0 else 1.0

    def _count(self, now: float, failed: Sequence[float], everything: Sequence[float]) -> None:
        hour = int(now // HOUR_S)
        of = {
            objective.subject: (bad, whole)
            for objective, bad, whole in zip(self._objectives, failed, everything, strict=True)
        }
        for component, (bad, whole) in of.items():
            hours = self._hours[component]
            if hour not in hours:
                self._turn(component, hour)
            before = hours.get(hour, (0.0, 0.0))
            hours[hour] = (before[0] + bad, before[1] + whole)

    def _turn(self, component: str, hour: int) -> None:
        """Another hour begins: the last one is kept, and what no window reaches is dropped."""
        hours = self._hours[component]
        if hours:
            self._kept(component, max(hours))
        for old in [known for known in hours if known < self._oldest(component, hour)]:
            del hours[old]

    def _kept(self, component: str, hour: int) -> None:
        if self._keep is not None:
            failed, everything = self._hours[component][hour]
            self._keep(component, hour, failed, everything, self._oldest(component, hour))

    def _oldest(self, component: str, hour: int) -> int:
        longest = max(o.over for o in self._objectives if o.subject == component)
        return int(hour - longest / HOUR_S - 1)

    def _follow(self, series: Series) -> None:
        if series is self._series:
            return
        self._series = series
        self._columns = [
            (
                _rows(series, objective.subject, signals.ATTEMPTS_FAILED),
                _rows(series, objective.subject, signals.ATTEMPTS),
            )
            for objective in self._objectives
        ]

    @staticmethod
    def _reading(objective: Objective, now: float, rate: float, minutes: float) -> Reading:
        if not minutes:
            return Reading(Symptom.BURNING, Sense.GATEWAY, State.GOOD, since=now)
        short = next(short for _, long, short in PAIRS if long == minutes)
        gone = objective.over / rate / DAY_S if rate > 0 else 0.0
        sentence = (
            f"{100 * rate * objective.at_most:.2g} % of requests failed in the last {short} "
            f"minutes, {100 * objective.at_most:.2g} % are allowed over "
            f"{objective.over / DAY_S:.3g} days: at this pace ({rate:.1f} times what lasts) the "
            f"whole budget is gone in {gone:.1f} days"
        )
        return Reading(
            Symptom.BURNING,
            Sense.GATEWAY,
            State.BAD,
            sentence=sentence,
            observed=rate * objective.at_most,
            expected=objective.at_most,
            unit="1",
            since=now - 60.0 * minutes,
            seen_at=now,
        )


def _rows(series: Series, component: str, signal: str) -> list[int]:
    return [
        row
        for row, key in enumerate(series)
        if key is not None
        and key.subject.component == component
        and key.subject.replica
        and (key.signal, key.sense, key.cohort) == (signal, Sense.GATEWAY, "")
    ]
