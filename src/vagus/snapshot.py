"""What Vagus sees and does at one moment, as one value.

The live view, ``/status`` and ``vagus status`` show the same snapshot, so they can't disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vagus.model import (
    Aspect,
    Finding,
    Incident,
    Override,
    SensesReport,
    Subject,
)
from vagus.topology import Topology


@dataclass(frozen=True)
class Vitals:
    """The latest figures of one replica; None where nothing was seen."""

    requests_per_s: float | None = None
    failed_per_s: float | None = None
    ttft_p50: float | None = None
    ttft_p95: float | None = None
    running: float | None = None
    ttft_trend: tuple[float | None, ...] = ()  # one value a tick, oldest first


@dataclass(frozen=True)
class ReplicaView:
    subject: Subject
    condition: str  # ok | suspect | sick | out | returning
    share: float  # of its normal traffic that it is given
    symptoms: tuple[str, ...]
    vitals: Vitals


@dataclass(frozen=True)
class Snapshot:
    at: float
    mode: str
    stopped: str | None  # the kill switch's reason
    senses: SensesReport
    replicas: tuple[ReplicaView, ...]
    incidents: tuple[Incident, ...]
    untold: int = 0  # messages whose target did not take them yet


def replica_views(
    topology: Topology,
    overrides: Sequence[Override],
    findings: Sequence[Finding],
    suspects: frozenset[Subject],
    ejected: frozenset[Subject],
    vitals: dict[Subject, Vitals],
) -> tuple[ReplicaView, ...]:
    """One view a replica, in the stack's order."""
    symptoms: dict[Subject, list[str]] = {}
    for finding in findings:
        known = symptoms.setdefault(finding.subject, [])
        if finding.symptom.value not in known:
            known.append(finding.symptom.value)
    shares: dict[Subject, float] = {}
    for row in overrides:
        if row.aspect is Aspect.HEALTH:
            shares[row.subject] = 0.0
        elif row.aspect is Aspect.WEIGHT:
            shares[row.subject] = min(shares.get(row.subject, 1.0), float(row.value))

    def condition(subject: Subject) -> str:
        share = shares.get(subject, 1.0)
        if share == 0.0 or subject in ejected:
            return "out"
        if share < 1.0:
            return "returning"
        if subject in symptoms:
            return "sick"
        return "suspect" if subject in suspects else "ok"

    return tuple(
        ReplicaView(
            subject=subject,
            condition=condition(subject),
            share=shares.get(subject, 1.0),
            symptoms=tuple(symptoms.get(subject, ())),
            vitals=vitals.get(subject, Vitals()),
        )
        for subject in topology.replicas()
    )
