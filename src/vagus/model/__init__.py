"""The frozen types that pass between the steps of the loop.

Each step takes the types of the one before it and returns its own::

    telemetry     evidence     Attempt, Scrape, Probe      what was seen of one replica
                  retrieval    Retrieval, Query, Searches  what was seen of one collection
    detection     finding      Finding                     a deviation, with its evidence
    diagnosis     incident     Incident, Cause             findings that belong together, and why
    planning      plan         Plan, Remedy, Tier          contain, treat, return
    policy        ruling       Request, Ruling             may this be done, and who said what
                  governance   Proposal, Licence, ...      who may decide, and what was earned
    remediation   intent       Intent, Check               written before it is done
                  traffic      Override, Endpoint          desired traffic
    verification  verdict      Verdict, Observed           did it heal, by the same evidence?

They are values: nothing here reads a clock, a table or the network. Times are seconds since the
Unix epoch unless a name says otherwise; durations are seconds; shares lie between 0 and 1.
"""

from vagus.model.confidence import lower_bound
from vagus.model.evidence import (
    INVALID,
    Attempt,
    Evidence,
    Failure,
    Histogram,
    Phase,
    Probe,
    Retrieval,
    Scrape,
    Sense,
)
from vagus.model.finding import Finding, SensesReport, Symptom
from vagus.model.governance import (
    PROOF_NEEDED,
    Answer,
    Licence,
    Principal,
    Proposal,
    ProposalState,
    Role,
    Sheet,
    Stop,
    TrackRecord,
    Trial,
)
from vagus.model.incident import Cause, Incident, IncidentState, Rollout
from vagus.model.injection import INJECT, Injection
from vagus.model.intent import Check, Intent, IntentState
from vagus.model.notification import Message, Notification
from vagus.model.plan import Plan, Remedy, Tier
from vagus.model.retrieval import Document, Query, Searches, Slice, Vector
from vagus.model.ruling import VAGUS, Ask, Decision, GuardRuling, Purpose, Request, Ruling
from vagus.model.subject import Numbers, Subject
from vagus.model.traffic import Aspect, Endpoint, Override, Traffic
from vagus.model.verdict import Observed, Outcome, Verdict

__all__ = [
    "INJECT",
    "INVALID",
    "PROOF_NEEDED",
    "VAGUS",
    "Answer",
    "Ask",
    "Aspect",
    "Attempt",
    "Cause",
    "Check",
    "Decision",
    "Document",
    "Endpoint",
    "Evidence",
    "Failure",
    "Finding",
    "GuardRuling",
    "Histogram",
    "Incident",
    "IncidentState",
    "Injection",
    "Intent",
    "IntentState",
    "Licence",
    "Message",
    "Notification",
    "Numbers",
    "Observed",
    "Outcome",
    "Override",
    "Phase",
    "Plan",
    "Principal",
    "Probe",
    "Proposal",
    "ProposalState",
    "Purpose",
    "Query",
    "Remedy",
    "Request",
    "Retrieval",
    "Role",
    "Rollout",
    "Ruling",
    "Scrape",
    "Searches",
    "Sense",
    "SensesReport",
    "Sheet",
    "Slice",
    "Stop",
    "Subject",
    "Symptom",
    "Tier",
    "TrackRecord",
    "Traffic",
    "Trial",
    "Vector",
    "Verdict",
    "lower_bound",
]
