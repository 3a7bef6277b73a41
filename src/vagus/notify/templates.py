"""What people are told, one short message an occasion.

A message is read on a telephone, at night. The title alone says whether to get up: what is asked or
what happened, and to whom. The body holds what is needed to decide, in the order of the questions:
what, why, what was done, what to do now. It is plain text, since it goes to chats, pagers and mail
alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from vagus.config import Occasion
from vagus.model import (
    Finding,
    Incident,
    Intent,
    IntentState,
    Message,
    Notification,
    Proposal,
    Tier,
)
from vagus.narrative import narrate

FINDINGS_SHOWN = 5  # the rest is counted
TELLS_FROM = Tier.R2  # what is done below this is not worth a message

Facts = Mapping[str, object]

_APPROVE = "vagus approve"
_URGENCY = tuple(occasion.value for occasion in Occasion)  # they are listed by it

_OCCASIONS: Mapping[str, Occasion] = {
    "proposed": Occasion.PROPOSED,
    "escalated": Occasion.ESCALATED,
    "applied": Occasion.ACTED,
    "resolved": Occasion.RESOLVED,
    "stopped": Occasion.STOPPED,
    "resumed": Occasion.STOPPED,
    "mode": Occasion.STOPPED,
}


@dataclass(frozen=True)
class Case:
    """An incident with all that is known of it when the message is written."""

    incident: Incident
    findings: Sequence[Finding] = ()
    intents: Sequence[Intent] = ()


def occasion_of(event: str, facts: Facts) -> Occasion | None:
    """What kind of news an entry of the ledger is; None: none."""
    if event == "applied" and _tier(facts) < TELLS_FROM:
        return None
    return _OCCASIONS.get(event)


def proposed(proposal: Proposal) -> Message:
    """Somebody must answer: the sheet, who is asked, until when, and how."""
    sheet, remedy = proposal.sheet, proposal.request.remedy
    rows = [
        sheet.what,
        _listed("Why", sheet.why),
        f"Cause: {sheet.cause} ({sheet.confidence:.0%} sure)",
        f"Blast radius: {sheet.blast_radius}",
        f"Checked afterwards: {sheet.checks}",
        f"Taken back by: {sheet.undo}",
        f"Record: {sheet.record}",
        f"Needed: {' and '.join(str(ask) for ask in proposal.asks)}, "
        f"until {_moment(proposal.expires_at)}. If nobody answers: {sheet.unanswered}",
        "",
        f"{_APPROVE} {proposal.id}",
        f'vagus deny {proposal.id} --reason "..."',
    ]
    title = f"Vagus asks: {remedy.action} {remedy.target}?"
    return _message(Occasion.PROPOSED, title, rows)


def escalated(case: Case, facts: Facts) -> Message:
    """A person is needed: for whom, why, what was seen and tried, where to look."""
    incident = case.incident
    still = [finding for finding in case.findings if finding.closed_at is None]
    tried = [
        f"{intent.request.remedy.action} {intent.request.remedy.target}: {_became(intent)}"
        for intent in case.intents
    ]
    rows = [
        f"Why: {facts.get('note') or incident.note}",
        f"Taken for the cause: {incident.cause.fault}, {incident.cause.confidence:.0%} sure. "
        f"{incident.cause.sentence}".rstrip(),
        _listed("Still seen", [finding.sentence for finding in still]),
        _listed("Tried", tried) if tried else "Nothing was tried.",
        f"Look at {incident.subject}, and at: vagus incidents {incident.id}",
    ]
    title = f"Vagus needs a person: {incident.cause.fault} on {incident.subject}"
    return _message(Occasion.ESCALATED, title, rows)


def acted(case: Case, facts: Facts) -> Message:
    """Something of R2 or above was done, and will be verified."""
    incident = case.incident
    rows = [
        f"Because of {incident.cause.fault}: {incident.cause.sentence}".rstrip(": "),
        f"Note: {facts['note']}" if facts.get("note") else "",
        f"It is being verified. The story: vagus incidents {incident.id}",
    ]
    title = f"Vagus acted ({_tier(facts).name}): {narrate('applied', facts).text}"
    return _message(Occasion.ACTED, title, rows)


def resolved(case: Case, facts: Facts) -> Message:
    incident = case.incident
    done = [
        f"{intent.request.remedy.action} {intent.request.remedy.target}"
        for intent in case.intents
        if intent.state is IntentState.APPLIED
    ]
    took = (
        "" if incident.closed_at is None else f", {incident.closed_at - incident.opened_at:.0f} s"
    )
    rows = [
        str(facts.get("note") or incident.note),
        _listed(f"Done, since {_moment(incident.opened_at)}{took}", done),
    ]
    title = f"Resolved: {incident.cause.fault} on {incident.subject}"
    return _message(Occasion.RESOLVED, title, rows)


def stopped(event: str, facts: Facts) -> Message:
    """The kill switch was set or lifted, or the mode was changed."""
    by = facts.get("by") or "somebody"
    match event:
        case "stopped":
            title = f"Vagus stands still: {facts.get('reason')}"
            rows = [f"The kill switch was set by {by}. Nothing new is begun until it is lifted."]
        case "resumed":
            title = "Vagus goes on"
            rows = [f"The kill switch was lifted by {by}."]
        case _:
            mode, was = facts.get("mode"), facts.get("was")
            title = f"Vagus's mode is now {mode or 'as configured'}"
            rows = [f"Set by {by}: {facts.get('reason')}", f"It was {was or 'as configured'}."]
    return _message(Occasion.STOPPED, title, rows)


def plain(occasion: Occasion, event: str, facts: Facts) -> Message:
    """What an entry says by itself, where no more is known of it."""
    return _message(occasion, f"Vagus: {narrate(event, facts).text}", [])


def digest(notifications: Sequence[Notification]) -> Notification:
    """Many messages to one target as one. What is asked stands first, with the id that answers."""
    first = notifications[0]
    by_urgency = sorted(notifications, key=lambda n: _URGENCY.index(n.message.occasion))
    rows = [f"- {note.message.title}{_answered_by(note.message)}" for note in by_urgency]
    rows += ["", "Each in full: vagus proposals, vagus incidents, vagus ledger tail"]
    counts = Counter(note.message.occasion for note in by_urgency)
    title = "Vagus: " + ", ".join(f"{count} {occasion}" for occasion, count in counts.items())
    message = Message(by_urgency[0].message.occasion, title, "\n".join(rows))
    return replace(first, id=f"{first.id}+{len(notifications) - 1}", message=message)


def trial_run(name: str) -> Message:
    """What ``vagus notify test`` sends."""
    rows = [f"This is a test of the target {name!r}. Nothing happened and nothing is asked of you."]
    return Message("test", "Vagus can reach you here", "\n".join(rows))


def _message(occasion: Occasion, title: str, rows: Iterable[str]) -> Message:
    return Message(occasion.value, title, "\n".join(row for row in rows if row is not None))


def _listed(what: str, sentences: Sequence[str]) -> str:
    shown = [f"- {sentence}" for sentence in sentences[:FINDINGS_SHOWN]]
    more = len(sentences) - len(shown)
    return "\n".join([f"{what}:", *shown, *([f"- and {more} more"] if more else [])])


def _answered_by(message: Message) -> str:
    commands = [line for line in message.body.splitlines() if line.startswith(_APPROVE)]
    return f": {commands[0]}" if message.occasion == Occasion.PROPOSED and commands else ""


def _became(intent: Intent) -> str:
    why = intent.note or (intent.ruling.reason if intent.state is IntentState.REFUSED else "")
    return f"{intent.state.value}, {why}" if why else intent.state.value


def _tier(facts: Facts) -> Tier:
    name = str(facts.get("tier"))
    return Tier[name] if name in Tier.__members__ else Tier.R0


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
