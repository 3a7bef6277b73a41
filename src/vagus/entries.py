"""Values as facts of the ledger: what an entry about each of them holds.

The names are read by :mod:`vagus.narrative`, by ``vagus run --json`` and by whoever exports the
ledger, so they change as a public format changes.
"""

from __future__ import annotations

from collections.abc import Sequence

from vagus.model import (
    Finding,
    Incident,
    Injection,
    Intent,
    Licence,
    Notification,
    Proposal,
    Ruling,
    Subject,
    TrackRecord,
    Trial,
    Verdict,
)

Facts = dict[str, object]


def of_finding(finding: Finding) -> Facts:
    return {
        "subject": str(finding.subject),
        "symptom": finding.symptom.value,
        "sense": finding.sense.value,
        "sentence": finding.sentence,
        "observed": finding.observed,
        "expected": finding.expected,
        "unit": finding.unit,
        "samples": finding.samples,
        "since": finding.since,
    }


def of_incident(incident: Incident, sentences: Sequence[str]) -> Facts:
    """``sentences`` are those of its first findings."""
    return {
        "subject": str(incident.subject),
        "fault": incident.cause.fault,
        "confidence": incident.cause.confidence,
        "sentence": incident.cause.sentence,
        "findings": list(sentences),
    }


def of_intent(intent: Intent) -> Facts:
    request = intent.request
    return {
        "action": request.remedy.action,
        "target": str(request.remedy.target),
        "purpose": request.purpose.value,
        "share": request.remedy.share,
        "tier": intent.tier.name,
        "state": intent.state.value,
        "note": intent.note,
    }


def of_ruling(ruling: Ruling) -> Facts:
    return {
        "decision": ruling.decision.name.lower(),
        "reason": ruling.reason,
        "guards": [
            {
                "guard": said.guard,
                "decision": said.decision.name.lower(),
                "reason": said.reason,
                "numbers": dict(said.numbers),
            }
            for said in ruling.guards
        ],
    }


def of_injection(injection: Injection) -> Facts:
    return {
        "id": injection.id,
        "experiment": injection.experiment,
        "fault": injection.fault,
        "subject": str(injection.target),
        "does": injection.does,
        "lease": injection.lease,
        "cap": injection.cap,
        "by": injection.by,
        "outcome": injection.verdict,
        "note": injection.note,
    }


def of_proposal(proposal: Proposal) -> Facts:
    request = proposal.request
    return {
        "id": proposal.id,
        "action": request.remedy.action,
        "target": str(request.remedy.target),
        "tier": request.tier.name,
        "what": proposal.sheet.what,
        "asks": [str(ask) for ask in proposal.asks],
        "binding": proposal.binding,
        "expires_at": proposal.expires_at,
        "state": proposal.state.value,
        "answers": [
            {"by": answer.by, "yes": answer.yes, "at": answer.at, "reason": answer.reason}
            for answer in proposal.answers
        ],
        "note": proposal.note,
    }


def of_verdict(subject: Subject, verdict: Verdict) -> Facts:
    return {
        "subject": str(subject),
        "outcome": verdict.outcome.value,
        "sentence": verdict.sentence,
        "numbers": dict(verdict.numbers),
    }


def of_trial(trial: Trial, record: TrackRecord) -> Facts:
    """``record`` is what is known of this remedy with this trial in it."""
    return {
        "action": trial.action,
        "fault": trial.fault,
        "subject": str(trial.target),
        "outcome": trial.outcome.value,
        "took": trial.took,
        "samples": record.samples,
        "healed": record.healed,
        "bound": record.bound,
        "record": str(record),
    }


def of_licence(licence: Licence) -> Facts:
    return {
        "id": licence.id,
        "action": licence.action,
        "component": licence.component,
        "environment": licence.environment,
        "fault": licence.fault,
        "expires_at": licence.expires_at,
        "manual": licence.manual,
        "issued_by": licence.issued_by,
        "reason": licence.reason,
        "samples": licence.samples,
        "bound": licence.bound,
        "experiments": list(licence.experiments),
    }


def of_notification(notification: Notification, *, tries: int, why: str) -> Facts:
    """One that did not arrive. ``why`` must not hold the target's address."""
    return {
        "id": notification.id,
        "target": notification.target,
        "occasion": notification.message.occasion,
        "title": notification.message.title,
        "tries": tries,
        "why": why,
    }
