"""From searches to findings: what callers of a collection don't get, one finding a symptom.

- *recall low*, or *slice low*: the index gives other rows than an exact search, for most clusters
  of queries or for some;
- *rows missing*: it gives fewer;
- *golden failing*, or *golden lost*: even an exact search doesn't give what is expected, for most
  golden queries or for some. That is not the index's doing;
- *index invalid*: there is one, and no search can use it.

Each but the last is evidence against a promise (:mod:`.doubt`) and closes when the latest searches
keep the promise again. A search that fails says nothing about recall: some in a row are silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vagus.config import Settings
from vagus.detection.reading import Reading, State
from vagus.detection.register import Register
from vagus.detection.retrieval.doubt import Doubt, needed
from vagus.model import INVALID, Evidence, Finding, Retrieval, Sense, Subject, Symptom
from vagus.topology import Topology

SHARE_OF_BUDGET = 0.1  # of the false alarms that the user finds bearable
PROMISES = 3  # that one search may speak against: recall, rows, what is expected
ROWS_PROMISED = 0.97  # of those that there are: fewer than k is what no caller expects
GOLDEN_PROMISED = 0.9
MOST = 0.5  # of the clusters, or of the golden queries: it is all of them, and not some
LATEST = 20  # searches that say how it is now
ENOUGH = 8  # of them, to say something of a cluster that raised no alarm itself ...
OF_A_GOLDEN = 2  # ... and of a golden query: it finds what is expected, or it doesn't
CLOSED_BY = 16  # of them, to say that the promise is kept again
SUSPECT_NATS = 3.0
CLEARLY = 0.05  # below the promise
SILENT_AFTER = 3  # failed searches in a row
INVALID_AFTER = 3


@dataclass
class _Series:
    """What was seen of one promise."""

    promise: float
    doubt: Doubt
    latest: deque[tuple[float, Retrieval]] = field(default_factory=lambda: deque(maxlen=LATEST))
    alarmed: bool = False
    seen: int = 0  # since the alarm

    @classmethod
    def of(cls, promise: float) -> _Series:
        return cls(promise, Doubt(promise))

    def see(self, value: float, search: Retrieval, bar: float) -> None:
        self.doubt.see(value)
        self.latest.append((value, search))
        if self.alarmed:
            self.seen += 1
            if self.seen >= CLOSED_BY and self.mean >= self.promise:
                self.alarmed, self.seen = False, 0
                self.doubt.reset()
        elif self.doubt.nats >= bar:
            self.alarmed, self.seen = True, 0

    @property
    def mean(self) -> float:
        return sum(value for value, _ in self.latest) / max(len(self.latest), 1)

    @property
    def worst(self) -> Retrieval:
        """The newest of the worst searches."""
        return min(reversed(self.latest), key=lambda entry: entry[0])[1]


@dataclass
class _Collection:
    recall: float  # as promised
    rows: _Series = field(default_factory=lambda: _Series.of(ROWS_PROMISED))
    clusters: dict[str, _Series] = field(default_factory=dict)
    golden: dict[str, _Series] = field(default_factory=dict)  # by query
    last: Retrieval | None = None
    failed: int = 0  # in a row
    invalid: int = 0  # in a row
    fresh: bool = False  # something was seen since the last look


class RetrievalDetector:
    """Implements the protocol of detectors for the collections in ``topology()``.

    ``recall`` is the share of the nearest rows that is promised to be found; ``per_second`` how
    often a collection is searched at most; ``alarms`` false ones in ``period`` s are bearable, in
    all and of everything that Vagus finds.
    """

    def __init__(
        self,
        topology: Callable[[], Topology],
        *,
        recall: float,
        per_second: float,
        alarms: float,
        period: float,
    ) -> None:
        watched = max(len(topology().collections()), 1)
        often = per_second * PROMISES * watched
        self._bar = needed(often, alarms * SHARE_OF_BUDGET, period)
        self._topology = topology
        self._recall = recall
        self._collections: dict[Subject, _Collection] = {}
        self._register = Register()
        self._forgotten: deque[tuple[Subject, float | None]] = deque()

    @classmethod
    def of(cls, settings: Settings, topology: Callable[[], Topology]) -> RetrievalDetector:
        return cls(
            topology,
            recall=settings.retrieval.recall,
            per_second=1.0 / min(settings.retrieval.interval, settings.retrieval.interval_suspect),
            alarms=settings.false_alarms.count,
            period=settings.false_alarms.period,
        )

    def observe(self, batch: Sequence[Evidence]) -> None:
        members = set(self._topology().collections())
        for evidence in batch:
            if isinstance(evidence, Retrieval) and evidence.subject in members:
                known = self._collections.setdefault(
                    evidence.subject, _Collection(recall=self._recall)
                )
                self._note(known, evidence)

    def forget(self, subject: Subject, at: float | None = None) -> None:
        """Its index is another one. May be called from any thread. ``at`` does not matter: a new
        index needs no time to start, so what is seen from now on counts."""
        self._forgotten.append((subject, at))

    def evaluate(self, now: float) -> Sequence[Finding]:
        changes: list[Finding] = []
        while self._forgotten:
            subject, _ = self._forgotten.popleft()
            if self._collections.pop(subject, None) is not None:
                changes.extend(self._register.close_all(subject, now))
        for subject, known in self._collections.items():
            if not known.fresh:
                continue
            known.fresh = False
            for reading in self._readings(subject, known, now):
                changed = self._register.apply(subject, reading, now)
                if changed is not None:
                    changes.append(changed)
        return changes

    def open_findings(self) -> Sequence[Finding]:
        return self._register.all()

    def suspects(self) -> frozenset[Subject]:
        """Collections that are to be searched more often now."""
        doubted = {s for s, known in self._collections.items() if self._most_doubted(known)}
        found = {f.subject for f in self._register.all() if f.symptom is not Symptom.SILENT}
        return frozenset(doubted | found)

    def focus(self, subject: Subject) -> str | None:
        """The cluster of queries that is to be looked at more closely now."""
        known = self._collections.get(subject)
        return self._most_doubted(known) if known is not None else None

    # --- one collection --------------------------------------------------------------------------

    def _note(self, known: _Collection, search: Retrieval) -> None:
        known.fresh = True
        if search.failure is not None:
            known.failed += 1
            return
        known.failed, known.last = 0, search
        known.invalid = known.invalid + 1 if search.index.endswith(INVALID) else 0
        if search.golden is not None:
            series = known.golden.setdefault(search.query, _Series.of(GOLDEN_PROMISED))
            series.see(float(search.golden), search, self._bar)
        if not search.exact:
            return  # an empty collection: there is nothing to be found
        known.rows.see(min(search.returned / search.exact, 1.0), search, self._bar)
        series = known.clusters.setdefault(search.cluster, _Series.of(known.recall))
        # Of the rows that it does give: that some are missing is another symptom.
        series.see(min(search.agreed / max(search.returned, 1), 1.0), search, self._bar)

    def _most_doubted(self, known: _Collection) -> str | None:
        def doubt(name: str) -> float:
            return known.clusters[name].doubt.nats

        name = max(known.clusters, key=doubt, default=None)
        doubtful = name is not None and doubt(name) >= SUSPECT_NATS
        if not doubtful and known.rows.doubt.nats >= SUSPECT_NATS:
            return known.rows.worst.cluster
        return name if doubtful else None

    def _readings(self, subject: Subject, known: _Collection, now: float) -> Iterator[Reading]:
        yield self._silence(subject, known, now)
        search = known.last
        if search is None or known.failed:
            return  # nothing new was seen of what it finds
        yield from self._of_clusters(subject, known, search)
        if known.rows.latest:
            yield _reading(
                Symptom.ROWS_MISSING,
                known.rows,
                search.at,
                f"searches of {subject} return {known.rows.mean:.0%} of the rows that there are: "
                f"{known.rows.worst.returned} of {known.rows.worst.exact} for "
                f"'{known.rows.worst.query}'; {_index(search)}",
            )
        yield from self._of_golden(subject, known, search)
        yield Reading(
            Symptom.INDEX_INVALID,
            Sense.PROBE,
            State.BAD if known.invalid >= INVALID_AFTER else State.GOOD,
            f"the index of {subject} can't be used: {search.index}; each search reads all rows",
            samples=known.invalid,
            since=now,
            seen_at=search.at,
        )

    def _silence(self, subject: Subject, known: _Collection, now: float) -> Reading:
        silent = known.failed >= SILENT_AFTER
        sentence = f"{subject} is not judged: {known.failed} searches in a row failed"
        state = State.BAD if silent else State.GOOD
        return Reading(
            Symptom.SILENT, Sense.PROBE, state, sentence, known.failed, since=now, seen_at=now
        )

    def _of_clusters(
        self, subject: Subject, known: _Collection, search: Retrieval
    ) -> Iterator[Reading]:
        judged, low = _low(known.clusters, ENOUGH)
        most = len(low) > MOST * len(judged)
        worst = min(low, key=lambda series: series.mean, default=None)
        others = [series.mean for series in judged if series not in low]
        elsewhere = f", elsewhere {sum(others) / len(others):.0%}" if others else ""
        for symptom, open_now in ((Symptom.RECALL_LOW, most), (Symptom.SLICE_LOW, not most)):
            if worst is None or not open_now:
                yield Reading(symptom, Sense.PROBE, State.GOOD, since=search.at, seen_at=search.at)
                continue
            yield Reading(
                symptom,
                Sense.PROBE,
                State.BAD,
                f"searches of {subject} like '{worst.worst.query}' find {worst.mean:.0%} of the "
                f"nearest {search.k} rows (promised: {worst.promise:.0%}{elsewhere}), "
                f"{len(low)} of {len(judged)} clusters of queries; {_index(search)}",
                samples=sum(len(series.latest) for series in low),
                observed=worst.mean,
                expected=worst.promise,
                unit="recall",
                since=worst.latest[0][1].at,
                seen_at=search.at,
            )

    def _of_golden(
        self, subject: Subject, known: _Collection, search: Retrieval
    ) -> Iterator[Reading]:
        judged, low = _low(known.golden, OF_A_GOLDEN)
        most = len(low) > MOST * len(judged)
        for symptom, open_now in ((Symptom.GOLDEN_FAILING, most), (Symptom.GOLDEN_LOST, not most)):
            if not low or not open_now:
                yield Reading(symptom, Sense.PROBE, State.GOOD, since=search.at, seen_at=search.at)
                continue
            named = max((series.worst for series in low), key=lambda s: (bool(s.gone), s.at))
            gone = f"; not there any more: {named.gone}" if named.gone else ""
            yield Reading(
                symptom,
                Sense.PROBE,
                State.BAD,
                f"{len(low)} of {len(judged)} golden queries of {subject} don't find what is "
                f"expected, by an exact search either: '{named.query}'{gone}",
                samples=sum(len(series.latest) for series in low),
                observed=1.0 - len(low) / len(judged),
                expected=1.0,
                unit="share",
                since=min(series.latest[0][1].at for series in low),
                seen_at=search.at,
            )


def _low(known: Mapping[str, _Series], enough: int) -> tuple[list[_Series], list[_Series]]:
    """Those of which something can be said, and those of them that break their promise: where one
    raised an alarm, the others need not wait for theirs."""
    judged = [s for s in known.values() if len(s.latest) >= enough or s.alarmed]
    alarmed = any(series.alarmed for series in judged)
    low = [s for s in judged if s.alarmed or (alarmed and s.mean < s.promise - CLEARLY)]
    return judged, low


def _reading(symptom: Symptom, series: _Series, seen_at: float, sentence: str) -> Reading:
    if not series.latest or not series.alarmed:
        return Reading(symptom, Sense.PROBE, State.GOOD, since=seen_at, seen_at=seen_at)
    return Reading(
        symptom,
        Sense.PROBE,
        State.BAD,
        sentence,
        samples=len(series.latest),
        observed=series.mean,
        expected=series.promise,
        unit="share",
        since=series.latest[0][1].at,
        seen_at=seen_at,
    )


def _index(search: Retrieval) -> str:
    dead = f", {search.dead:.0%} of the table's rows are dead" if search.dead >= 0.01 else ""
    return f"{search.index or 'no index is used'}{dead}"
