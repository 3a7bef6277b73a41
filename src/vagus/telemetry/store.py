"""The columnar store: series are rows, ticks are columns, and the last minutes are kept.

Evidence only updates where a series stands; a tick turns all of it into one column. Counters become
rates there: what they grew by since the last tick, over the time between the two readings, and one
that went down was reset and has grown from zero. What was not seen is NaN, a state of its own and
not the last value once more; a value is held for one tick, since two clocks of the same pace drift
past each other.

Latencies are distributions, in log buckets (:mod:`vagus.telemetry.distributions`). Ratios that
nobody tells (hits of lookups) are made here, of what both grew by in the tick.

What is kept of whom: every signal of every replica; of a component as a whole what was pushed to us
in its name, and what its callers meet cohort by cohort. Versions of a model and routes have no
series of their own yet.

It is used on the event loop's thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vagus.model import Attempt, Evidence, Phase, Probe, Scrape, Sense, Subject, signals
from vagus.model.series import Column, Floats, SeriesKey
from vagus.model.signals import RATIOS, SIGNALS, Instrument
from vagus.snapshot import Vitals
from vagus.telemetry.columns import Columns
from vagus.telemetry.distributions import Distributions
from vagus.telemetry.readings import Readings
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.sketch import SECONDS, quantiles
from vagus.topology import Topology

TICKS = 600  # columns kept: ten minutes on a grid of 1 s
MAX_SERIES = 256  # of one subject; the catalogue is as long for all senses together
MAX_COHORTS = 32  # of one component; the rest is counted, and kept as part of the whole
VITALS_TICKS = 10  # over which the live rates are averaged
QUANTILE_TICKS = 30  # over which the live quantiles are taken
TREND_TICKS = 60
MIN_BYTES_PACED = 256  # an answer shorter than this has no pace worth comparing


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where the values of a target's scrapes go, as long as it names the same signals."""

    names: tuple[str, ...]
    kept: tuple[str, ...]
    rows: tuple[int, ...]


class Store:
    """What was seen of everything in ``topology()``; evidence of anything else is ignored."""

    def __init__(self, topology: Callable[[], Topology], rejections: Rejections) -> None:
        self._topology = topology
        self._rejections = rejections
        self._known: Topology | None = None
        self._members: frozenset[Subject] = frozenset()
        self._columns = Columns(TICKS)
        self._readings = Readings(self._columns.capacity, rejections)
        self._plans: dict[tuple[Subject, Sense], _Plan] = {}
        self._count_of: dict[Subject, int] = {}
        self._tally_rows: dict[int, float] = {}  # row -> events of this tick
        self._distributions = Distributions(rejections)
        self._ratios: dict[int, tuple[int, tuple[int, ...]]] = {}  # row -> rows of part and whole
        self._cohorts: dict[str, set[str]] = {}  # by component
        self._ticked_at: float | None = None

    # --- in ---------------------------------------------------------------------------------------

    def observe(self, batch: Sequence[Evidence]) -> None:
        """Take ``batch`` into the present tick."""
        self._follow_topology()
        for evidence in batch:
            if evidence.subject not in self._members:
                continue
            if isinstance(evidence, Scrape):
                self._take_scrape(evidence)
            elif isinstance(evidence, Probe):
                self._take_probe(evidence)
            elif isinstance(evidence, Attempt) and evidence.phase is Phase.ENDED:
                self._take_attempt(evidence)

    def _take_scrape(self, scrape: Scrape) -> None:
        if scrape.failure is not None:
            return
        names = tuple(scrape.values)
        plan = self._plans.get((scrape.subject, scrape.sense))
        if plan is None or plan.names != names:
            plan = self._plan(scrape, names)
            self._plans[scrape.subject, scrape.sense] = plan
        values = [scrape.values[name] for name in plan.kept]
        self._readings.put(plan.rows, values, scrape.at)
        for name, histogram in scrape.histograms.items():
            known = SIGNALS.get(name)
            if known is None or known.instrument is not Instrument.DISTRIBUTION:
                self._rejections.count(Rejected.UNKNOWN_SIGNAL, str(scrape.subject), name)
                continue
            row = self._row(scrape.subject, name, scrape.sense)
            if row is not None:
                where = f"{scrape.subject} {name}"
                self._distributions.put(row, histogram, scrape.at, where)

    def _plan(self, scrape: Scrape, names: tuple[str, ...]) -> _Plan:
        self._readings.settle()  # what is gathered may have rows in common with the new plan
        kept, rows = [], []
        for name in names:
            known = SIGNALS.get(name)
            if known is None or known.instrument not in (Instrument.GAUGE, Instrument.COUNTER):
                self._rejections.count(Rejected.UNKNOWN_SIGNAL, str(scrape.subject), name)
                continue
            row = self._row(scrape.subject, name, scrape.sense)
            if row is not None:
                kept.append(name)
                rows.append(row)
        self._plan_ratios(scrape, dict(zip(kept, rows, strict=True)))
        return _Plan(names, tuple(kept), tuple(rows))

    def _plan_ratios(self, scrape: Scrape, rows: dict[str, int]) -> None:
        for name, ratio in RATIOS.items():
            if name in rows or not rows.keys() >= {ratio.part, *ratio.whole}:
                continue
            row = self._row(scrape.subject, name, scrape.sense)
            if row is not None:
                self._ratios[row] = (rows[ratio.part], tuple(rows[w] for w in ratio.whole))

    def _take_attempt(self, attempt: Attempt) -> None:
        subject, first = attempt.subject, attempt.time_to_first_token
        self._tally(subject, signals.ATTEMPTS, 1.0)
        self._tally(subject, signals.ATTEMPTS_FAILED, float(attempt.failure is not None))
        if attempt.failure is not None or attempt.status is None:
            return  # how long a failure took, or a caller's patience, is no latency
        cohort = self._cohort(attempt)
        self._distribute(subject, signals.DURATION, Sense.GATEWAY, attempt.duration, cohort)
        if first is None:
            return
        self._distribute(subject, signals.TIME_TO_FIRST_TOKEN, Sense.GATEWAY, first, cohort)
        if attempt.received_bytes >= MIN_BYTES_PACED and attempt.duration > first:
            pace = (attempt.duration - first) / attempt.received_bytes
            self._distribute(subject, signals.TIME_PER_BYTE, Sense.GATEWAY, pace)

    def _take_probe(self, probe: Probe) -> None:
        if probe.failure is not None:
            return
        for signal, value in (
            (signals.TIME_TO_FIRST_TOKEN, probe.time_to_first_token),
            (signals.TIME_PER_TOKEN, probe.time_per_token),
            (signals.DURATION, probe.duration),
        ):
            if value is not None:
                self._distribute(probe.subject, signal, Sense.PROBE, value)

    def _tally(self, subject: Subject, signal: str, amount: float) -> None:
        row = self._row(subject, signal, Sense.GATEWAY)
        if row is not None:
            self._tally_rows[row] = self._tally_rows.get(row, 0.0) + amount

    def _distribute(
        self, subject: Subject, signal: str, sense: Sense, value: float, cohort: str = ""
    ) -> None:
        """Count ``value`` for ``subject``, and for that cohort of its component's callers."""
        row = self._row(subject, signal, sense)
        if row is not None:
            self._distributions.add(row, value)
        if cohort:
            key = SeriesKey(Subject(subject.component), signal, sense, cohort)
            row = self._columns.row(key)
            self._distributions.add(row if row is not None else self._add(key), value)

    def _cohort(self, attempt: Attempt) -> str:
        """Which cohort's series it belongs to; none for one too many."""
        if not attempt.cohort:
            return ""
        known = self._cohorts.setdefault(attempt.subject.component, set())
        if attempt.cohort not in known:
            if len(known) >= MAX_COHORTS:
                component = attempt.subject.component
                self._rejections.count(Rejected.TOO_MANY_COHORTS, component, attempt.cohort[:80])
                return ""
            known.add(attempt.cohort)
        return attempt.cohort

    # --- the tick ---------------------------------------------------------------------------------

    def tick(self, now: float) -> Column:
        """Close the tick: everything that was seen in it becomes one column."""
        self._follow_topology()
        values = self._readings.tick()
        elapsed = now - self._ticked_at if self._ticked_at is not None else 0.0
        self._ticked_at = now
        for row, amount in self._tally_rows.items():
            # After a jump of the clock nobody knows how long the tick was.
            values[row] = amount / elapsed if elapsed > 0 else np.nan
            self._tally_rows[row] = 0.0
        self._close_ratios(values)
        self._distributions.close(values)
        self._columns.write(values)
        series = self._columns.series
        return Column(now, series, values[: len(series)].copy())

    def _close_ratios(self, values: Floats) -> None:
        for row, (part, whole) in self._ratios.items():
            of = values[list(whole)].sum()
            values[row] = values[part] / of if of > 0 else np.nan

    # --- out --------------------------------------------------------------------------------------

    def last(
        self,
        subject: Subject,
        signal: str,
        ticks: int,
        sense: Sense = Sense.SCRAPE,
        cohort: str = "",
    ) -> Floats:
        """The last ``ticks`` values of one series, oldest first; NaN where nothing was seen.

        Of a counter and a tally it is the rate per second, of a distribution the median.
        """
        row = self._columns.row(SeriesKey(subject, signal, sense, cohort))
        if row is None:
            return np.full(ticks, np.nan)
        return self._columns.last(row, ticks)

    @property
    def series_count(self) -> int:
        return len(self._columns)

    def quantile(
        self,
        subject: Subject,
        signal: str,
        share: float,
        ticks: int = QUANTILE_TICKS,
        sense: Sense = Sense.GATEWAY,
        cohort: str = "",
    ) -> float | None:
        """Of a distribution over the last ``ticks``, to 1.1 %; None if nothing was seen."""
        row = self._columns.row(SeriesKey(subject, signal, sense, cohort))
        if row is None:
            return None
        return _known(float(quantiles(self._distributions.counts([row], ticks), share, SECONDS)[0]))

    def vitals(self) -> dict[Subject, Vitals]:
        """The live figures of every replica."""
        self._follow_topology()
        rows = {}
        for subject in self._topology().replicas():
            key = SeriesKey(subject, signals.TIME_TO_FIRST_TOKEN, Sense.GATEWAY)
            rows[subject] = self._columns.row(key)
        known = [row for row in rows.values() if row is not None]
        counts = self._distributions.counts(known, QUANTILE_TICKS)
        p50, p95 = (iter(quantiles(counts, q, SECONDS).tolist()) for q in (0.5, 0.95))
        return {
            subject: self._vitals(subject, next(p50), next(p95))
            if row is not None
            else self._vitals(subject, np.nan, np.nan)
            for subject, row in rows.items()
        }

    def _vitals(self, subject: Subject, p50: float, p95: float) -> Vitals:
        trend = self.last(subject, signals.TIME_TO_FIRST_TOKEN, TREND_TICKS, Sense.GATEWAY)
        return Vitals(
            requests_per_s=self._rate(subject, signals.ATTEMPTS),
            failed_per_s=self._rate(subject, signals.ATTEMPTS_FAILED),
            ttft_p50=_known(p50),
            ttft_p95=_known(p95),
            running=_mean(self.last(subject, signals.RUNNING, 1)),
            ttft_trend=tuple(map(_known, trend.tolist())),
        )

    def _rate(self, subject: Subject, signal: str) -> float | None:
        return _mean(self.last(subject, signal, VITALS_TICKS, Sense.GATEWAY))

    # --- rows -------------------------------------------------------------------------------------

    def _row(self, subject: Subject, signal: str, sense: Sense) -> int | None:
        key = SeriesKey(subject, signal, sense)
        row = self._columns.row(key)
        if row is not None:
            return row
        if self._count_of.get(subject, 0) >= MAX_SERIES:
            self._rejections.count(Rejected.TOO_MANY_SERIES, str(subject), signal)
            return None
        self._count_of[subject] = self._count_of.get(subject, 0) + 1
        return self._add(key)

    def _add(self, key: SeriesKey) -> int:
        row = self._columns.add(key)
        self._readings.grow(self._columns.capacity)
        instrument = SIGNALS[key.signal].instrument
        self._readings.begin(row, counter=instrument is Instrument.COUNTER)
        if instrument is Instrument.TALLY:
            self._tally_rows[row] = 0.0
        return row

    def _follow_topology(self) -> None:
        topology = self._topology()
        if topology is self._known:
            return
        self._known = topology
        components = frozenset(map(Subject, topology.components))
        self._members = components.union(topology.replicas())
        for component in self._cohorts.keys() - topology.components.keys():
            del self._cohorts[component]
        gone = [
            key
            for key in self._columns.series
            if key is not None and key.subject not in self._members
        ]
        if not gone:
            return
        self._readings.settle()
        for key in gone:
            row = self._columns.remove(key)
            self._readings.begin(row, counter=False)
            self._tally_rows.pop(row, None)
            self._distributions.forget(row)
            self._ratios.pop(row, None)
        departed = {key.subject for key in gone}
        for subject in departed:
            self._count_of.pop(subject, None)
        for target in [target for target in self._plans if target[0] in departed]:
            del self._plans[target]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _mean(values: Floats) -> float | None:
    seen = values[~np.isnan(values)]
    return float(seen.mean()) if len(seen) else None
