"""Findings as rows that are opened and closed: level-triggered, with hysteresis.

A finding opens when a rule says *bad*. Whatever still looks suspicious keeps it open; only evidence
of health that is younger than the last bad piece closes it. So a replica that alternates between
good and bad is one finding, not a stream of them. What was refuted doesn't open a finding again:
that takes a bad piece that is younger than those which the evidence of health outweighed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from vagus.detection import defaults
from vagus.detection.reading import Reading, State
from vagus.model import Finding, Sense, Subject, Symptom

Key = tuple[Symptom, Sense]


class Register:
    """The findings that are open, by subject."""

    def __init__(self) -> None:
        self._open: dict[Subject, dict[Key, Finding]] = {}
        self._told: dict[str, tuple[float, Finding]] = {}
        self._refuted: dict[str, float] = {}  # by finding's key: its last bad piece, outweighed

    def all(self) -> tuple[Finding, ...]:
        return tuple(f for found in self._open.values() for f in found.values())

    def of(self, subject: Subject) -> Iterable[Key]:
        return self._open.get(subject, {}).keys()

    def subjects(self) -> Iterable[Subject]:
        return self._open.keys()

    def apply(self, subject: Subject, reading: Reading, now: float) -> Finding | None:
        """The finding that ``reading`` opened, changed enough to tell, or closed."""
        key = (reading.symptom, reading.sense)
        known = self._open.get(subject, {}).get(key)
        if reading.state is State.GOOD:
            return self._refute(known, reading, now) if known is not None else None
        if known is None:
            return self._begin(subject, reading, now) if reading.state is State.BAD else None
        return self._go_on(known, reading, now)

    def _begin(self, subject: Subject, reading: Reading, now: float) -> Finding | None:
        finding = Finding(
            subject=subject,
            symptom=reading.symptom,
            sense=reading.sense,
            opened_at=now,
            last_seen_at=now if reading.seen_at is None else reading.seen_at,
            sentence=reading.sentence,
            samples=reading.samples,
            observed=reading.observed,
            expected=reading.expected,
            unit=reading.unit,
            since=reading.since,
        )
        if finding.last_seen_at <= self._refuted.get(finding.key, float("-inf")):
            return None
        self._keep(finding)
        self._told[finding.key] = (now, finding)
        return finding

    def _go_on(self, known: Finding, reading: Reading, now: float) -> Finding | None:
        seen_at = now if reading.seen_at is None else reading.seen_at
        if seen_at <= known.last_seen_at:
            return None  # the same evidence, looked at again
        finding = replace(known, last_seen_at=seen_at)
        if reading.state is State.BAD:
            finding = replace(
                finding,
                sentence=reading.sentence,
                samples=max(known.samples, reading.samples),
                observed=reading.observed,
                expected=reading.expected,
                unit=reading.unit,
            )
        self._keep(finding)
        told_at, told = self._told[known.key]
        if now - told_at < defaults.TELL_AGAIN_S and not _changed(told, finding):
            return None
        self._told[known.key] = (now, finding)
        return finding

    def _refute(self, known: Finding, reading: Reading, now: float) -> Finding | None:
        if reading.since is None or reading.since <= known.last_seen_at:
            return None
        self._refuted[known.key] = known.last_seen_at
        return self._close(known, now)

    def close_all(self, subject: Subject, now: float) -> Iterator[Finding]:
        """It is another process now, or no part of the stack: nothing that was found holds."""
        for key in [key for key in self._refuted if key.startswith(f"{subject}:")]:
            del self._refuted[key]
        for finding in list(self._open.get(subject, {}).values()):
            yield self._close(finding, now)

    def _close(self, finding: Finding, now: float) -> Finding:
        found = self._open[finding.subject]
        del found[finding.symptom, finding.sense]
        if not found:
            del self._open[finding.subject]
        self._told.pop(finding.key, None)
        return replace(finding, closed_at=now)

    def _keep(self, finding: Finding) -> None:
        self._open.setdefault(finding.subject, {})[finding.symptom, finding.sense] = finding


def _changed(told: Finding, finding: Finding) -> bool:
    """Materially: its number, by a factor that a person would remark on."""
    before, after = told.observed, finding.observed
    if told.unit != finding.unit:
        return False  # another rule of the same finding measures something else
    if before is None or after is None:
        return before is not after
    low, high = sorted((abs(before), abs(after)))
    return high > defaults.TELL_CHANGE * low and high > 0
