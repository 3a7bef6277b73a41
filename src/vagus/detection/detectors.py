"""All who find something, as one.

There are several kinds of detectors, since a port that refuses and an answer that slowly grows late
can't be told by the same means. What they have in common is small: they take evidence as it comes,
say what changed in their findings, and can be told that a subject is no longer who it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vagus.model import Evidence, Finding, Subject


class Detector(Protocol):
    """Used on the event loop, but for :meth:`forget`, which may be called from any thread."""

    def observe(self, batch: Sequence[Evidence]) -> None:
        """Take evidence in; nothing is judged yet."""

    def evaluate(self, now: float) -> Sequence[Finding]:
        """Findings opened, materially changed or closed since the last call."""

    def open_findings(self) -> Sequence[Finding]: ...

    def forget(self, subject: Subject, at: float | None = None) -> None:
        """``subject`` is another process since ``at`` (now): what was found of the old one holds no
        longer."""


class Detectors:
    """Several of them, asked in order. Their findings' keys must not overlap."""

    def __init__(self, *detectors: Detector) -> None:
        self._detectors = detectors

    def observe(self, batch: Sequence[Evidence]) -> None:
        for detector in self._detectors:
            detector.observe(batch)

    def evaluate(self, now: float) -> list[Finding]:
        return [finding for detector in self._detectors for finding in detector.evaluate(now)]

    def open_findings(self) -> list[Finding]:
        return [finding for detector in self._detectors for finding in detector.open_findings()]

    def forget(self, subject: Subject, at: float | None = None) -> None:
        for detector in self._detectors:
            detector.forget(subject, at)
