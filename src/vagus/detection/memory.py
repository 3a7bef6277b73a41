"""What reflexes remember of one replica: bounded, and only what a rule will read.

Rules are pure functions of this memory, its siblings' and the time; nothing is accumulated beside
it. That costs a few additions per look and buys much: evidence may arrive late, twice or out of
order, and what a rule says depends on what is known, not on the order in which it became known.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from math import isfinite

from vagus.detection import defaults
from vagus.model import Attempt, Failure, Phase, Probe, Scrape, Sense, Subject, Symptom

SYMPTOM_OF = {
    Failure.REFUSED: Symptom.GONE,
    Failure.TIMEOUT: Symptom.HUNG,
    Failure.RESET: Symptom.ERRORING,
    Failure.SERVER_ERROR: Symptom.ERRORING,
    Failure.TRUNCATED: Symptom.CUTTING,
    Failure.WRONG_TYPE: Symptom.WRONG_SHAPE,
    Failure.UNPARSEABLE: Symptom.WRONG_SHAPE,
}
"""What one failed exchange hints at. A hint is not yet a finding."""

_NO_PROGRESS = frozenset({Symptom.GONE, Symptom.HUNG})
"""Ends of attempts that were none of the replica's doing."""
_BROKE = frozenset({Failure.RESET, Failure.TRUNCATED})


@dataclass(slots=True)
class InFlight:
    """An attempt that has not ended, as far as the log has said."""

    started_at: float
    seen_at: float
    progress_at: float  # when its bytes were last seen to have grown
    received_bytes: int = 0
    watched: bool = False  # a report after the first one: its bytes were looked at since


@dataclass(frozen=True, slots=True)
class Answer:
    """An attempt that ended."""

    at: float
    started_at: float
    symptom: Symptom | None  # how it failed; None: it did not
    broke: bool  # the connection did, as it does for all at once when a process dies
    detail: str  # of the failure, for the sentence: "HTTP 500", "text/html"
    first: float  # seconds to the first token (or to the whole, when it came in one piece)
    pace: float | None  # seconds per byte after the first
    duration: float
    received_bytes: int
    abandoned: bool  # the caller went away unanswered: its duration is only a lower bound


@dataclass(slots=True)
class ReplicaMemory:
    """Bounded memory of one replica. ``born`` is the moment before which evidence is another's."""

    subject: Subject
    born: float = float("-inf")
    in_flight: dict[str, InFlight] = field(default_factory=dict)
    answers: deque[Answer] = field(default_factory=lambda: deque(maxlen=defaults.MEMORY_ANSWERS))
    probes: deque[Probe] = field(default_factory=lambda: deque(maxlen=defaults.MEMORY_PROBES))
    scrapes: deque[Scrape] = field(default_factory=lambda: deque(maxlen=defaults.MEMORY_SCRAPES))
    progress_at: float = float("-inf")  # when any attempt last got ahead
    ended_at: float = float("-inf")  # when any attempt last ended, and not by being abandoned
    row_at: float = float("-inf")  # of the latest row of the gateway's log
    answers_seen: int = 0  # ever: tells a cache that there are new ones
    usual_answer: str = ""  # to the probe, from when its siblings agreed with it
    found: set[tuple[Symptom, Sense]] = field(default_factory=set)  # findings open now
    _ended: dict[str, None] = field(default_factory=dict)

    @property
    def ill(self) -> bool:
        """It is no measure for others. Missing metrics alone say nothing of its answers."""
        return any(symptom is not Symptom.SILENT for symptom, _ in self.found)

    def forget(self, at: float) -> None:
        """It is a new process since ``at``: what the old one did must not condemn it."""
        self.born = at
        self.in_flight.clear()
        self.answers.clear()
        self.probes.clear()
        self.scrapes.clear()
        self._ended.clear()
        self.progress_at = self.ended_at = self.row_at = float("-inf")
        self.answers_seen += 1

    def settle(self, sense: Sense, since: float) -> None:
        """What ``sense`` found is refuted by what it saw from ``since`` on: older evidence has had
        its say and must not count a second time."""
        if sense is Sense.GATEWAY:
            _drop_before(self.answers, since)
        elif sense is Sense.PROBE:
            _drop_before(self.probes, since)
        else:
            _drop_before(self.scrapes, since)

    def note_attempt(self, row: Attempt, symptom: Symptom | None, detail: str) -> None:
        """Remember ``row``; ``symptom`` is what its end hints at, if it ended badly."""
        if row.started_at < self.born or row.id in self._ended:
            return
        self.row_at = max(self.row_at, row.at)
        if row.phase is Phase.ENDED:
            self._end(row, symptom, detail)
            return
        known = self.in_flight.get(row.id)
        if known is None:
            if len(self.in_flight) >= defaults.MEMORY_IN_FLIGHT:
                del self.in_flight[next(iter(self.in_flight))]
            known = InFlight(row.started_at, row.at, row.started_at)
            self.in_flight[row.id] = known
        known.seen_at = max(known.seen_at, row.at)
        known.watched = known.watched or row.phase is Phase.STREAMING
        if row.received_bytes > known.received_bytes:
            known.received_bytes = row.received_bytes
            known.progress_at = max(known.progress_at, row.at)
            self.progress_at = max(self.progress_at, row.at)

    def _end(self, row: Attempt, symptom: Symptom | None, detail: str) -> None:
        if len(self._ended) >= defaults.MEMORY_ENDED_IDS:
            del self._ended[next(iter(self._ended))]
        self._ended[row.id] = None
        self.in_flight.pop(row.id, None)
        abandoned = symptom is None and row.received_bytes == 0 and not row.status
        first = row.duration if row.time_to_first_token is None else row.time_to_first_token
        streamed = row.duration - first
        paced = row.received_bytes >= defaults.PACE_MIN_BYTES and streamed > 0
        self.answers.append(
            Answer(
                at=row.at,
                started_at=row.started_at,
                symptom=symptom,
                broke=row.failure in _BROKE,
                detail=detail,
                first=first,
                pace=streamed / row.received_bytes if paced else None,
                duration=row.duration,
                received_bytes=row.received_bytes,
                abandoned=abandoned,
            )
        )
        self.answers_seen += 1
        gave_up = symptom in _NO_PROGRESS or (symptom is None and not row.status)
        if not gave_up:
            self.ended_at = max(self.ended_at, row.at)
            self.progress_at = max(self.progress_at, row.at)

    def note_probe(self, probe: Probe) -> None:
        if probe.at - probe.duration >= self.born and not _known(self.probes, probe):
            self.probes.append(probe)

    def note_scrape(self, scrape: Scrape) -> None:
        if (
            scrape.sense is Sense.SCRAPE
            and scrape.at >= self.born
            and not _known(self.scrapes, scrape)
        ):
            self.scrapes.append(scrape)

    def queued(self, begun: float, ended: float) -> bool:
        """Whether the server said, about then, that requests were waiting for it."""
        for scrape in reversed(self.scrapes):
            if scrape.at < begun - defaults.QUEUE_MARGIN_S:
                return False
            near = scrape.at <= ended + defaults.QUEUE_MARGIN_S
            if near and scrape.values.get(defaults.WAITING, 0.0) > 0:
                return True
        return False

    def drop_lost(self, log_at: float) -> None:
        """Forget attempts whose end was never logged; ``log_at`` is how far the log was read."""
        lost = [
            key for key, a in self.in_flight.items() if log_at - a.seen_at > defaults.LOST_ROW_S
        ]
        for key in lost:
            del self.in_flight[key]


def _drop_before(kept: deque[Answer] | deque[Probe] | deque[Scrape], since: float) -> None:
    while kept and kept[0].at < since:
        kept.popleft()


def _known(kept: deque[Probe] | deque[Scrape], new: Probe | Scrape) -> bool:
    """Read twice, or older than what is kept: rows in a row are counted, so order matters."""
    return bool(kept) and new.at <= kept[-1].at


def sane(*numbers: float) -> bool:
    """A clock or a log line may say anything; infinities and NaN would poison every comparison."""
    return all(isfinite(n) for n in numbers)
