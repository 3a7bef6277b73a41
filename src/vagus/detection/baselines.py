"""What only a baseline shows: findings of what is unusual for a series, at its hour and load.

The detectors (:mod:`.baseline`) judge all series of a tick at once, and say of each how much
evidence there is; the user's budget of false alarms is the only threshold. Here their alarms become
findings: those of one subject that mean the same are one; a deviation that most siblings share is
their component's and nobody's own, for no replica is to blame for it; and where callers simply no
longer come, there is nothing to find.

Nothing is learned of a subject that has an incident, that is kept out of traffic or that was just
started, nor of the component it is a part of, nor of those who call it: an outage must not become
normal. They are judged all the same; only what was just started isn't, for as long as that takes.

Loading compiled detectors costs a second and a hundred megabytes, so only a large fleet does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vagus.detection.baseline.budget import FAMILIES
from vagus.detection.baseline.fleet import BAND, Fleet, Scores
from vagus.detection.baseline.roster import Roster, Traits, name_of, related
from vagus.detection.baseline.wording import Deviation, is_worse, sentence
from vagus.detection.reading import Reading, State
from vagus.detection.register import Register
from vagus.model import Evidence, Finding, Subject, Symptom
from vagus.model.series import Column, Floats
from vagus.model.signals import SIGNALS, SignalKind
from vagus.topology import Topology

Bools = NDArray[np.bool_]

SYMPTOM_OF = {
    SignalKind.LATENCY: Symptom.SLOWER,
    SignalKind.THROUGHPUT: Symptom.DECLINING,
    SignalKind.PROGRESS: Symptom.DECLINING,
    SignalKind.SATURATION: Symptom.SATURATING,
    SignalKind.ERRORS: Symptom.FAILING,
    SignalKind.QUALITY: Symptom.DEGRADED,
}
SHARED = 0.5
"""Of the siblings; when more than these deviate too, it is their component's trouble."""
RECENT_TICKS = 120.0
"""A sibling that was not seen for longer says nothing."""
RECALL = 0.05
"""Share of a calm tick in what is remembered as usual: twenty ticks."""
SEEN = 0.3
"""Share of a tick in what is told as seen: a deviation is more than its last value."""
_ABSENCE = FAMILIES.index("absence")


class Baselines:
    """A :class:`~vagus.detection.detectors.Detector` of all that is in ``topology()``.

    ``fleet`` may hold what was learned before; ``guarded`` are the subjects of which nothing is to
    be learned now; ``warm_up`` is for how long (s) one that was just started isn't judged;
    ``teacher`` knows the past of series that ``fleet`` doesn't.
    """

    def __init__(
        self,
        topology: Callable[[], Topology],
        fleet: Fleet,
        *,
        traits_of: Callable[[str], Traits],
        guarded: Callable[[], frozenset[Subject]],
        warm_up: float,
        teacher: Fleet | None = None,
    ) -> None:
        self.fleet = fleet
        self._topology = topology
        self._known: Topology | None = None
        self._members: frozenset[Subject] = frozenset()
        self._roster = Roster(fleet, traits_of, teacher=teacher)
        self._traits_of = traits_of
        self._guarded = guarded
        self._warm_up = warm_up
        self._register = Register()
        self._forgotten: deque[tuple[Subject, float | None]] = deque()
        self._cold: dict[Subject, float] = {}  # started: until when it isn't judged
        self._changes: list[Finding] = []
        self._account = _Account(0)

    # --- the detector ----------------------------------------------------------------------------

    def observe(self, batch: Sequence[Evidence]) -> None:
        """Nothing: baselines look at ticks."""

    def evaluate(self, now: float) -> Sequence[Finding]:
        self._act_on_forgotten(now)
        changes, self._changes = self._changes, []
        return changes

    def open_findings(self) -> Sequence[Finding]:
        return self._register.all()

    def forget(self, subject: Subject, at: float | None = None) -> None:
        self._forgotten.append((subject, at))

    def _act_on_forgotten(self, now: float) -> None:
        while self._forgotten:
            subject, at = self._forgotten.popleft()
            self._cold[subject] = (now if at is None else at) + self._warm_up
            self.fleet.acquit(name_of(key) for key in self._roster.keys if key.subject == subject)
            self._changes += self._register.close_all(subject, now)

    # --- the tick --------------------------------------------------------------------------------

    def tick(self, column: Column) -> None:
        """Judge one tick, and learn from it."""
        self._follow(column)
        self._act_on_forgotten(column.at)
        if not len(self.fleet):
            return
        values, demand = self._roster.values(column), self._roster.demand(column)
        values[self._not_judged(column.at)] = np.nan
        scores = self.fleet.update(values, None, demand, at=column.at, protect=self._protected())
        self._account.tick(scores, values, column.at)
        self._changes += self._read(scores, column.at)

    def _follow(self, column: Column) -> None:
        topology = self._topology()
        if topology is not self._known:
            self._known = topology
            components = frozenset(map(Subject, topology.components))
            members = components.union(topology.replicas())
            for gone in self._members - members:
                self._changes += self._register.close_all(gone, column.at)
            self._members = members
        before = self._roster.follow(column.series, self._members)
        if before is not None:
            self._account = self._account.rearranged(before, self.fleet.names)

    def _not_judged(self, now: float) -> Bools:
        self._cold = {subject: until for subject, until in self._cold.items() if until > now}
        if not self._cold:
            return np.zeros(len(self.fleet), dtype=bool)
        return np.array([key.subject in self._cold for key in self._roster.keys], dtype=bool)

    def _protected(self) -> Bools:
        guarded = self._guarded() | self._cold.keys()
        if not guarded or self._known is None:
            return np.zeros(len(self.fleet), dtype=bool)
        ill = {subject.component for subject in guarded}
        callers = {
            subject
            for subject in self._members
            if any(self._known.depends(subject.component, component) for component in ill)
        }
        return related(guarded | callers, self._roster.keys)

    # --- alarms become findings ------------------------------------------------------------------

    def _read(self, scores: Scores, now: float) -> Iterator[Finding]:
        found: dict[tuple[Subject, Symptom, str], list[Deviation]] = {}
        told = self._account.told > 0
        up = scores.alarm & (told | (scores.family != _ABSENCE))
        for deviation in self._deviations(scores, up, now):
            subject = deviation.key.subject
            if deviation.siblings and deviation.siblings_alike > SHARED * deviation.siblings:
                subject = Subject(subject.component)
            symptom = SYMPTOM_OF[SIGNALS[deviation.key.signal].kind]
            found.setdefault((subject, symptom, deviation.key.sense), []).append(deviation)
        for (subject, symptom, _), deviations in found.items():
            reading = _bad(symptom, deviations, now)
            changed = self._register.apply(subject, reading, now)
            if changed is not None:
                yield changed
        for finding in self._register.all():
            if (finding.subject, finding.symptom, finding.sense) not in found:
                good = Reading(finding.symptom, finding.sense, State.GOOD, since=now)
                closed = self._register.apply(finding.subject, good, now)
                if closed is not None:
                    yield closed

    def _deviations(self, scores: Scores, up: Bools, now: float) -> Iterator[Deviation]:
        account, group = self._account, self._roster.group
        account.told *= up
        rows = np.flatnonzero(up)
        around = now - account.seen_at <= RECENT_TICKS * self.fleet.tick
        for row in rows.tolist():
            key = self._roster.keys[row]
            kin = group == group[row]
            seen, usual = float(account.seen[row]), float(account.usual[row])
            worse = is_worse(self._traits_of(key.signal).worse, seen, usual)
            if np.isnan(seen) or not (worse or account.told[row]):
                continue  # evidence may come of noise alone, which has no direction
            account.told[row] = 1.0
            siblings = max(int((kin & around).sum()) - int(around[row]), 0)
            yield Deviation(
                key=key,
                seen=seen,
                usual=usual,
                width=float(account.width[row]),
                since=float(account.since[row]),
                samples=int(account.samples[row]),
                evidence=float(scores.evidence[row]),
                siblings=siblings,
                siblings_alike=max(int((kin & up).sum()) - 1, 0),
            )


def _bad(symptom: Symptom, deviations: Sequence[Deviation], now: float) -> Reading:
    strongest = max(deviations, key=lambda deviation: (deviation.evidence, deviation.samples))
    signal = SIGNALS[strongest.key.signal]
    return Reading(
        symptom,
        strongest.key.sense,
        State.BAD,
        sentence=sentence(strongest, len(deviations) - 1),
        samples=strongest.samples,
        observed=strongest.seen,
        expected=strongest.usual,
        unit=signal.unit,
        since=strongest.since,
        seen_at=now,
    )


class _Account:
    """For the sentences: what was usual before suspicion arose, when it did, and what came since.

    An expectation follows what is seen, so the one of an alarm's own tick would say that all is
    nearly well. What is kept is how it was while there was no evidence of anything.
    """

    def __init__(self, series: int) -> None:
        self.usual: Floats = np.full(series, np.nan)
        self.width: Floats = np.full(series, np.nan)
        self.seen: Floats = np.full(series, np.nan)
        self.seen_at: Floats = np.full(series, -np.inf)
        self.since: Floats = np.full(series, np.nan)
        self.samples: Floats = np.zeros(series)
        self.told: Floats = np.zeros(series)  # 1 from its finding until its alarm is down

    def tick(self, scores: Scores, values: Floats, now: float) -> None:
        came = ~np.isnan(values)
        calm = (scores.evidence <= 0.0) & ~scores.alarm
        width = (scores.high - scores.expected) / BAND
        known = calm & np.isfinite(scores.expected)
        for kept, told in ((self.usual, scores.expected), (self.width, width)):
            first = known & np.isnan(kept)
            kept[first] = told[first]
            kept[known] += RECALL * (told[known] - kept[known])
        self.since[calm | np.isnan(self.since)] = now
        self.samples[calm] = 0.0
        self.samples[came & ~calm] += 1.0
        fresh = came & (calm | np.isnan(self.seen))
        self.seen[fresh] = values[fresh]
        going_on = came & ~fresh
        self.seen[going_on] += SEEN * (values[going_on] - self.seen[going_on])
        self.seen_at[came] = now

    def rearranged(self, before: Sequence[str], after: Sequence[str]) -> _Account:
        """With each series in its new place."""
        place = {name: index for index, name in enumerate(before)}
        moved = _Account(len(after))
        pairs = [(new, place[name]) for new, name in enumerate(after) if name in place]
        if pairs:
            new, old = (np.array(side) for side in zip(*pairs, strict=True))
            for mine, theirs in zip(vars(moved).values(), vars(self).values(), strict=True):
                known = old < len(theirs)
                mine[new[known]] = theirs[old[known]]
        return moved
