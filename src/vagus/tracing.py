"""An incident that is over, as a trace: what was found, planned, ruled, done and verified, when.

It is made from what is written down, the incident's row, its findings and the ledger's entries, and
not while it happens. So it is whole after a crash in the middle, it is the same however often it is
made, and healing needs to know nothing of traces.

Entries say when something ended. It began when the step before it in the same workflow had ended,
unless the entries know better: an action begins with its ruling, a question when it was asked, a
watch when the action was finished.

Names are few and attributes many, as OpenTelemetry wants it; ours begin with ``vagus.``. Source:
OpenTelemetry semantic conventions, "General" (naming) and "Recording errors" (``error.type``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vagus.model import Finding, Incident, IncidentState, Subject
from vagus.model.trace import Attribute, Span, SpanEvent, Trace
from vagus.state.ledger import Entry

_GOOD = "healed"
_BAD = ("unchanged", "worse")
_CHAPTERS = tuple(state.value for state in IncidentState if state is not IncidentState.OPEN)

Attributes = Mapping[str, Attribute]


def trace_of(
    incident: Incident, findings: Sequence[Finding], entries: Sequence[Entry], environment: str
) -> Trace:
    """``incident`` is over; ``entries`` are the ledger's about it, in order."""
    ended = incident.opened_at if incident.closed_at is None else incident.closed_at
    root = Span(
        key="incident",
        name=f"incident {incident.cause.fault}",
        began=incident.opened_at,
        ended=max(ended, incident.opened_at),
        attributes={
            "vagus.incident.id": incident.id,
            "vagus.incident.fault": incident.cause.fault,
            "vagus.incident.cause": incident.cause.sentence,
            "vagus.incident.confidence": incident.cause.confidence,
            "vagus.incident.state": incident.state.value,
            "vagus.incident.epochs": incident.epoch,
            "vagus.incident.note": incident.note,
            **_subject(incident.subject),
        },
        events=tuple(_chapters(entries)),
        ok=True if incident.state is IncidentState.RESOLVED else None,
    )
    found = (_finding(finding, ended) for finding in findings)
    key = f"{environment}:{incident.id}:{incident.opened_at:.6f}"
    return Trace(key, root, (*found, *_steps(incident, entries)))


def _finding(finding: Finding, ended: float) -> Span:
    began = finding.opened_at if finding.since is None else min(finding.since, finding.opened_at)
    numbers = {"observed": finding.observed, "expected": finding.expected}
    return Span(
        key=f"finding:{finding.key}:{finding.opened_at:.6f}",
        name=f"finding {finding.symptom.value}",
        began=began,
        ended=max(began, ended if finding.closed_at is None else finding.closed_at),
        attributes={
            "vagus.finding.symptom": finding.symptom.value,
            "vagus.finding.sense": finding.sense.value,
            "vagus.finding.sentence": finding.sentence,
            "vagus.finding.samples": finding.samples,
            **{f"vagus.finding.{name}": n for name, n in numbers.items() if n is not None},
            **({"vagus.finding.unit": finding.unit} if finding.unit else {}),
            **_subject(finding.subject),
        },
        events=(SpanEvent("finding opened", finding.opened_at),),
    )


def _chapters(entries: Sequence[Entry]) -> Iterator[SpanEvent]:
    """What each run of the ladder ended with; of some incidents there are several."""
    for entry in entries:
        if entry.event in _CHAPTERS:
            told: Attributes = {
                "vagus.incident.note": _text(entry, "note"),
                "vagus.epoch": _epoch(entry),
            }
            yield SpanEvent(f"incident {entry.event}", entry.at, told)


def _steps(incident: Incident, entries: Sequence[Entry]) -> Iterator[Span]:
    before: dict[str, float] = {f"{incident.id}:1": incident.opened_at}  # by workflow
    decided: dict[str, float] = {}  # by token
    asked: dict[str, float] = {}
    for entry in entries:
        began = before.get(entry.workflow, entry.at)
        match entry.event.partition("."):
            case "planned", _, _:
                yield _span(entry, "plan", began, _of_plan(entry))
            case "decided", _, _:
                decided[entry.step] = entry.at
                yield _gate(entry, began)
            case "proposed", _, _:
                asked[entry.step] = entry.at
            case "proposal", _, outcome:
                facts: Attributes = {
                    "vagus.proposal.outcome": outcome,
                    "vagus.proposal.by": _people(entry),
                }
                asked_at = asked.get(entry.step, began)
                yield _span(entry, "ask people", asked_at, {**facts, **_of_action(entry)})
            case ("applied" | "failed") as outcome, _, _:
                yield _act(entry, decided.get(entry.step, began), outcome)
            case "verdict", _, _:
                yield _verify(entry, began)
        before[entry.workflow] = entry.at


def _of_plan(entry: Entry) -> Attributes:
    return {
        "vagus.plan.ladder": _texts(entry, "ladder"),
        "vagus.plan.reasons": _texts(entry, "reasons"),
    }


def _gate(entry: Entry, began: float) -> Span:
    guards = entry.facts.get("guards")
    against = [g for g in guards if g["decision"] != "allow"] if isinstance(guards, list) else []
    ruling: Attributes = {
        "vagus.ruling.decision": _text(entry, "decision"),
        "vagus.ruling.reason": _text(entry, "reason"),
        "vagus.ruling.guards": len(guards) if isinstance(guards, list) else 0,
    }
    objections = tuple(
        SpanEvent(
            "guard objected",
            entry.at,
            {
                "vagus.guard": str(said["guard"]),
                "vagus.ruling.decision": str(said["decision"]),
                "vagus.ruling.reason": str(said["reason"]),
            },
        )
        for said in against
    )
    return _span(entry, "gate", began, {**ruling, **_of_action(entry)}, events=objections)


def _act(entry: Entry, began: float, outcome: str) -> Span:
    done, note = outcome == "applied", _text(entry, "note")
    name = f"{_text(entry, 'purpose') or 'act'} {_text(entry, 'action')}"
    facts = {"vagus.action.outcome": outcome, "vagus.action.note": note, **_of_action(entry)}
    if done:
        return _span(entry, name, began, facts, ok=True)
    return _span(entry, name, began, facts, ok=False, error_type=outcome, error=note)


def _verify(entry: Entry, began: float) -> Span:
    """Its step is ``look:SINCE:NUMBER``; since 0 means since the step before."""
    since = _number(entry.step.split(":")[1:2])
    outcome, sentence = _text(entry, "outcome"), _text(entry, "sentence")
    numbers = entry.facts.get("numbers")
    told = numbers.items() if isinstance(numbers, dict) else ()
    facts: Attributes = {
        "vagus.verdict.outcome": outcome,
        "vagus.verdict.sentence": sentence,
        **{f"vagus.verdict.{name}": float(n) for name, n in told if isinstance(n, int | float)},
        **_subject(Subject.parse(_text(entry, "subject"))),
    }
    if outcome in _BAD:
        return _span(
            entry, "verify", since or began, facts, ok=False, error_type=outcome, error=sentence
        )
    ok = True if outcome == _GOOD else None
    return _span(entry, "verify", since or began, facts, ok=ok)


def _span(
    entry: Entry,
    name: str,
    began: float,
    attributes: Attributes,
    *,
    events: tuple[SpanEvent, ...] = (),
    ok: bool | None = None,
    error_type: str = "",
    error: str = "",
) -> Span:
    return Span(
        key=f"{entry.workflow}:{entry.step}:{entry.event}",
        name=name,
        began=min(began, entry.at),
        ended=entry.at,
        attributes={
            "vagus.epoch": _epoch(entry),
            "vagus.ledger.seq": entry.seq,
            **attributes,
            **({"error.type": error_type} if error_type else {}),
        },
        events=events,
        ok=ok,
        error=error,
    )


def _of_action(entry: Entry) -> Attributes:
    told = {name: _text(entry, name) for name in ("action", "purpose", "tier")}
    named: Attributes = {
        "vagus.action" if name == "action" else f"vagus.action.{name}": value
        for name, value in told.items()
        if value
    }
    target = _text(entry, "target")
    return {**named, **_subject(Subject.parse(target))} if target else named


def _subject(subject: Subject) -> Attributes:
    component: Attributes = {"vagus.component": subject.component}
    return {**component, "vagus.replica": subject.replica} if subject.replica else component


def _people(entry: Entry) -> tuple[str, ...]:
    answers = entry.facts.get("answers")
    return tuple(str(a["by"]) for a in answers) if isinstance(answers, list) else ()


def _epoch(entry: Entry) -> int:
    epoch = entry.workflow.rpartition(":")[2]
    return int(epoch) if epoch.isdecimal() else 0


def _text(entry: Entry, name: str) -> str:
    value = entry.facts.get(name)
    return "" if value is None else str(value)


def _texts(entry: Entry, name: str) -> tuple[str, ...]:
    values = entry.facts.get(name)
    return tuple(map(str, values)) if isinstance(values, list) else ()


def _number(texts: Sequence[str]) -> float:
    try:
        return float(texts[0])
    except (IndexError, ValueError):
        return 0.0
