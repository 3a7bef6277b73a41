"""Which fault of the catalogue explains the findings of a subject, and how sure that is.

The most explanatory fault that is shown at all wins (the order of the catalogue); confidence is how
unlikely it is that all of its evidence is wrong. Senses err independently of each other, so each of
them multiplies the doubt; more samples of the same sense only sharpen its own word.
"""

from __future__ import annotations

from collections.abc import Sequence

from vagus.diagnosis.faults import FAULTS, Fault
from vagus.model import Cause, Finding, Subject

WORD_OF_ONE_SENSE = 0.7
"""How far one sense is believed with the least evidence that opens a finding ..."""
WORD_WITH_SAMPLES = 0.9
"""... and with MANY_SAMPLES or more."""
MANY_SAMPLES = 12


def cause(findings: Sequence[Finding], subject: Subject | None = None) -> Cause | None:
    """The cause that ``findings`` suggest on ``subject`` (by default: of the first finding).

    Closed findings count only while none is open; findings of other subjects (callers) do not
    count. None: no fault is shown, as when nothing but metrics is missing.
    """
    if not findings:
        return None
    subject = findings[0].subject if subject is None else subject
    own = [f for f in findings if f.subject == subject]
    shown = [f for f in own if f.closed_at is None] or own
    for fault in FAULTS.values():
        main = [f for f in shown if f.symptom is fault.shown_by]
        if main:
            strongest = max(main, key=lambda f: (_word(f), f.opened_at))
            return Cause(
                fault=fault.name,
                subject=subject,
                confidence=round(_confidence(fault, shown), 3),
                sentence=fault.sentence.format(subject=subject, evidence=strongest.sentence),
            )
    return None


def _word(finding: Finding) -> float:
    """How far this finding is believed by itself."""
    share = min(1.0, finding.samples / MANY_SAMPLES)
    return WORD_OF_ONE_SENSE + share * (WORD_WITH_SAMPLES - WORD_OF_ONE_SENSE)


def _confidence(fault: Fault, shown: Sequence[Finding]) -> float:
    word_of: dict[str, float] = {}
    for finding in shown:
        weight = 1.0 if finding.symptom is fault.shown_by else fault.also.get(finding.symptom, 0.0)
        word = weight * _word(finding)
        word_of[finding.sense] = max(word_of.get(finding.sense, 0.0), word)
    doubt = 1.0
    for word in word_of.values():
        doubt *= 1.0 - word
    return 1.0 - doubt
