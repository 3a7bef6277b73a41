"""A stretch of time in review: what was done, or would have been, and what a mode would change.

This is the page on which somebody decides how far to trust Vagus, so it holds what was recorded and
nothing that was made up. Each request of an incident is shown with what every guard said when it
was asked; leaving the guard of the mode out of that answer says what the same request would have
met in ``auto``. What nobody can know from the records is listed as such, beside what they say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from vagus.config import Mode
from vagus.model import (
    Decision,
    GuardRuling,
    Incident,
    IncidentState,
    Intent,
    IntentState,
    Purpose,
    Subject,
)
from vagus.state.db import Database
from vagus.state.incidents import Incidents
from vagus.state.intents import Intents
from vagus.state.ledger import Ledger

_PAGE = 200
_NEW = (Purpose.CONTAIN, Purpose.TREAT)  # what is begun; the rest gives back or takes back
_DONE = (IntentState.APPLIED, IntentState.ACTING, IntentState.FAILED, IntentState.UNDONE)


@dataclass(frozen=True, slots=True)
class Asked:
    """One action that an incident asked the gate for; asked again, it is the last answer."""

    at: float
    action: str
    target: Subject
    purpose: Purpose
    tier: str
    times: int
    state: IntentState
    decision: Decision
    against: tuple[GuardRuling, ...]  # the guards that did not allow it
    takes: float | None  # share of the component's capacity, if it was weighed
    in_auto: Decision  # what the same guards say without that of the mode
    against_in_auto: tuple[GuardRuling, ...]

    @property
    def was_done(self) -> bool:
        return self.state in _DONE


@dataclass(frozen=True, slots=True)
class Case:
    """An incident: why, what was asked for, and what became of it."""

    incident: Incident
    why: tuple[str, ...]  # its findings
    asked: tuple[Asked, ...]
    lasted: float | None  # s; None: it lasts still
    outcome: str


@dataclass(frozen=True, slots=True)
class Run:
    """A start of Vagus. When a run ended isn't recorded if it was killed: ``quiet`` is how long the
    ledger had said nothing when this one began."""

    at: float
    mode: str
    quiet: float | None


@dataclass(frozen=True, slots=True)
class Graduation:
    """What the recorded requests would have met in ``mode``."""

    mode: Mode
    alone: tuple[Asked, ...] = ()
    asking: tuple[Asked, ...] = ()
    refused: tuple[Asked, ...] = ()


@dataclass(frozen=True, slots=True)
class Review:
    since: float
    until: float
    mode: Mode  # now
    runs: tuple[Run, ...]
    cases: tuple[Case, ...]  # oldest first
    graduations: tuple[Graduation, ...]  # to each further mode, the next one first
    unknown: tuple[str, ...] = field(default=())

    @property
    def states(self) -> dict[str, int]:
        counts = Counter(case.incident.state.value for case in self.cases)
        return dict(sorted(counts.items()))


def review(database: Database, mode: Mode, since: float, until: float) -> Review:
    """What the state at ``database`` says of the time from ``since`` to ``until``."""
    incidents, intents = Incidents(database), Intents(database)
    cases = []
    for incident in _of_time(incidents, since, until):
        asked = tuple(_asked(intents.of_incident(incident.id)))
        cases.append(
            Case(
                incident=incident,
                why=tuple(f.sentence for f in incidents.findings(incident.id)),
                asked=asked,
                lasted=None if incident.closed_at is None
                else incident.closed_at - incident.opened_at,
                outcome=_outcome(incident, asked),
            )
        )  # fmt: skip
    runs = tuple(_runs(Ledger(database), since, until))
    requests = [asked for case in cases for asked in case.asked if asked.purpose in _NEW]
    return Review(
        since=since,
        until=until,
        mode=mode,
        runs=runs,
        cases=tuple(cases),
        graduations=tuple(_graduations(mode, requests)),
        unknown=tuple(_unknown(mode, runs)),
    )


def _of_time(incidents: Incidents, since: float, until: float) -> list[Incident]:
    """Opened within the time, or open all through it; oldest first."""
    found = {i.id: i for i in incidents.active() if i.opened_at < until}
    before: str | None = None
    while page := incidents.recent(_PAGE, before=before):
        found |= {i.id: i for i in page if since <= i.opened_at < until}
        if page[-1].opened_at < since:
            break
        before = page[-1].id
    return sorted(found.values(), key=lambda incident: (incident.opened_at, incident.id))


def _asked(intents: Sequence[Intent]) -> Iterator[Asked]:
    """Each action, target and purpose once, with how often it was asked for."""
    groups: dict[tuple[str, Subject, Purpose], list[Intent]] = {}
    for intent in intents:
        remedy = intent.request.remedy
        key = (remedy.action, remedy.target, intent.request.purpose)
        groups.setdefault(key, []).append(intent)
    for (action, target, purpose), group in groups.items():
        last = group[-1]
        guards = last.ruling.guards
        without_mode = [said for said in guards if said.guard != "mode"]
        in_auto = max((said.decision for said in without_mode), default=Decision.DENY)
        yield Asked(
            at=group[0].created_at,
            action=action,
            target=target,
            purpose=purpose,
            tier=(last.ruling.tier or last.request.tier).name,
            times=len(group),
            state=last.state,
            decision=last.ruling.decision,
            against=tuple(said for said in guards if said.decision is not Decision.ALLOW),
            takes=_takes(guards),
            in_auto=in_auto,
            against_in_auto=tuple(s for s in without_mode if s.decision is not Decision.ALLOW),
        )


def _takes(guards: Sequence[GuardRuling]) -> float | None:
    """The share of its component's capacity that was weighed against the floor."""
    for said in guards:
        if said.guard == "capacity_floor" and said.numbers.get("replicas"):
            numbers = said.numbers
            taken = max(numbers.get("in_traffic", 0.0) - numbers.get("after", 0.0), 0.0)
            return taken / numbers["replicas"]
    return None


def _outcome(incident: Incident, asked: Sequence[Asked]) -> str:
    """What became of it, as far as the records say."""
    done = [f"{a.action} {a.target.replica}" for a in asked if a.was_done and a.purpose in _NEW]
    acted = f"after {', '.join(done)}" if done else "and nothing had been touched"
    match incident.state:
        case IncidentState.RESOLVED:
            return f"healed and verified, {acted}"
        case IncidentState.SUBSIDED:
            return f"the evidence went away, {acted}"
        case IncidentState.ESCALATED:
            return f"waits for a person, {acted}: {incident.note}"
        case IncidentState.SHADOWED:
            return "lasts still, untouched"
        case IncidentState.OPEN:
            return "is being healed"


def _runs(ledger: Ledger, since: float, until: float) -> Iterator[Run]:
    for entry in ledger.of_event("started", since, until):
        before = ledger.page(entry.seq - 2, 1)
        told = before and before[0].seq == entry.seq - 1
        quiet = entry.at - before[0].at if told else None
        yield Run(entry.at, str(entry.facts.get("mode", "")), quiet)


def _graduations(mode: Mode, requests: Sequence[Asked]) -> Iterator[Graduation]:
    """What the requests would have met in each mode that lets Vagus do more than ``mode``."""
    by: dict[Decision, list[Asked]] = {decision: [] for decision in Decision}
    for asked in requests:
        by[asked.in_auto].append(asked)
    alone, asking, refused = (tuple(by[decision]) for decision in Decision)
    if mode in (Mode.OFF, Mode.SHADOW):
        yield Graduation(Mode.SUGGEST, (), (*alone, *asking), refused)
    if mode is not Mode.AUTO:
        yield Graduation(Mode.AUTO, alone, asking, refused)


def _unknown(mode: Mode, runs: Sequence[Run]) -> Iterator[str]:
    yield (
        "Incidents that Vagus did not notice are not in here. Compare with what your callers and "
        "your other monitoring reported in this time."
    )
    if mode in (Mode.OFF, Mode.SHADOW):
        yield (
            "Whether an action would have helped. Nothing was touched, so all that is known is "
            "whether the evidence went away by itself, and when."
        )
        yield (
            "What would have followed a first action. In shadow only the first rung of a ladder is "
            "a real decision."
        )
        yield (
            "The course that things would have taken. Budgets and pauses were judged as if each "
            "action that was let pass had been done, but no replica was ever really away."
        )
    if runs:
        yield (
            f"What happened while Vagus was not running: it was started {times(len(runs))}, and "
            "when a run ended is not recorded if it was killed."
        )


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
