"""What is seen of an experiment from outside: Vagus's ledger, and what callers meet.

All of it comes from the API, so the times are those of the entries and not of our looks at them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from vagus.chaos.intents import Invariant
from vagus.chaos.result import Damage, Timeline

ENOUGH = 20.0  # requests after which a broken promise is believed while the experiment still runs
_GIVING_BACK = ("return", "undo")  # what every healing ends with is no remedy
_OVER = ("resolved", "escalated", "shadowed", "subsided")


class Vagus(Protocol):
    """The API of the Vagus that watches the stack. Calls raise VagusError."""

    def get(self, *path: str, **query: str) -> Any: ...

    def post(self, *path: str, body: Mapping[str, object]) -> Any: ...

    def status(self) -> Any:
        """``/status``: what it sees at this moment."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One of the ledger's."""

    at: float
    workflow: str  # incident:epoch, or another
    event: str
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Entry:
        return cls(row["at"], row["workflow"], row["event"], row["facts"])

    @property
    def incident(self) -> str:
        return self.workflow.rpartition(":")[0]

    @property
    def subject(self) -> str:
        return str(self.facts.get("subject") or self.facts.get("target") or "")


@dataclass
class Course:
    """What the ledger told since the injection, about the target and about others."""

    target: str  # component/replica
    injected_at: float
    causes: Collection[str]
    first_symptom: float | None = None
    incident: str = ""
    detected: float | None = None
    diagnosis: str = ""
    diagnosed: float | None = None
    authorised: float | None = None
    acted: float | None = None
    verified: float | None = None
    over: str = ""  # how the incident ended
    recovered: float | None = None
    remedies: list[str] = field(default_factory=list)
    elsewhere: dict[str, str] = field(default_factory=dict)  # subject -> incident, of others

    def take(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.at >= self.injected_at:
                self._take(entry, entry.at - self.injected_at)

    def _take(self, entry: Entry, after: float) -> None:
        match entry.event:
            case "finding.opened" if entry.subject == self.target:
                self.first_symptom = _first(self.first_symptom, after)
            case "incident.opened" if entry.subject == self.target and not self.over:
                self.incident = self.incident or entry.incident
                self.detected = _first(self.detected, after)
                self._name(str(entry.facts.get("fault", "")), after)
            case "incident.opened" if entry.subject != self.target:
                self.elsewhere.setdefault(entry.subject, entry.incident)
            case _ if self.incident and entry.incident == self.incident:
                self._of_ours(entry, after)

    def _of_ours(self, entry: Entry, after: float) -> None:
        match entry.event:
            case "decided" if entry.facts.get("decision") == "allow":
                self.authorised = _first(self.authorised, after)
            case "applied":
                self.acted = _first(self.acted, after)
                if entry.facts.get("purpose") not in _GIVING_BACK:
                    self.remedies.append(str(entry.facts.get("action")))
            case "verdict" if entry.facts.get("outcome") == "healed":
                self.verified = _first(self.verified, after)
            case event if event in _OVER:
                self.over = event
                self._name(str(entry.facts.get("fault") or self.diagnosis), after)
                if event == "resolved":
                    self.recovered = _first(self.recovered, after)

    def _name(self, fault: str, after: float) -> None:
        self.diagnosis = fault or self.diagnosis
        if fault in self.causes:
            self.diagnosed = _first(self.diagnosed, after)

    @property
    def timeline(self) -> Timeline:
        return Timeline(
            first_symptom=self.first_symptom,
            detected=self.detected,
            diagnosed=self.diagnosed,
            authorised=self.authorised,
            acted=self.acted,
            verified=self.verified,
            recovered=self.recovered,
        )


@dataclass
class Callers:
    """What callers met, added up from what ``/status`` says of each replica. Rates are means over
    some seconds, so counts are right over an experiment and not over a second of it."""

    requests: dict[str, float] = field(default_factory=dict)
    failed: dict[str, float] = field(default_factory=dict)
    slowest: dict[str, float] = field(default_factory=dict)

    def take(self, status: Mapping[str, Any], seconds: float) -> None:
        for view in status["replicas"]:
            name, vitals = view["subject"]["component"], view["vitals"]
            for counts, key in ((self.requests, "requests_per_s"), (self.failed, "failed_per_s")):
                counts[name] = counts.get(name, 0.0) + (vitals[key] or 0.0) * seconds
            if (wait := vitals["ttft_p95"]) is not None:
                self.slowest[name] = max(wait, self.slowest.get(name, 0.0))

    def damage(self) -> dict[str, Damage]:
        return {
            name: Damage(round(asked, 1), round(self.failed[name], 1), self.slowest.get(name))
            for name, asked in self.requests.items()
        }

    def broken(self, promises: Iterable[Invariant], *, at_the_end: bool) -> str:
        """The first promise that was broken, in a sentence; empty if all hold."""
        for promise in promises:
            asked = self.requests.get(promise.subject, 0.0)
            if promise.signal == "errors":
                if not asked or (asked < ENOUGH and not at_the_end):
                    continue
                share = self.failed[promise.subject] / asked
                if share > promise.at_most:
                    return f"{share:.1%} of {asked:.0f} requests to {promise.subject} failed"
            elif (wait := self.slowest.get(promise.subject, 0.0)) > promise.at_most:
                return f"the first token of {promise.subject} took {wait:.2f} s (95th percentile)"
        return ""


def unrest(status: Mapping[str, Any]) -> str:
    """Why this is no steady state, or empty."""
    if status["stopped"]:
        return f"the kill switch is set: {status['stopped']}"
    if not status["senses"]["trusted"]:
        return f"Vagus does not trust its senses: {status['senses']['reason']}"
    for incident in status["incidents"]:
        subject = "/".join(filter(None, incident["subject"].values()))
        return f"an incident is open: {incident['cause']['fault']} on {subject} ({incident['id']})"
    for view in status["replicas"]:
        if view["condition"] not in ("ok", "suspect"):  # a suspicion is no finding
            subject = "/".join(view["subject"].values())
            return f"{subject} is {view['condition']}"
    return ""


def _first(known: float | None, after: float) -> float:
    return round(after, 3) if known is None else known
