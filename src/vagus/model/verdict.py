"""Verification: did it heal, by the same evidence?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from vagus.model.evidence import Failure
from vagus.model.retrieval import Searches
from vagus.model.subject import no_numbers


class Outcome(StrEnum):
    HEALED = "healed"
    UNCHANGED = "unchanged"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"  # too little was seen: never taken for healed


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    sentence: str
    at: float
    numbers: Mapping[str, float] = field(default_factory=no_numbers)


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of a subject since a moment: the input of verification."""

    since: float
    until: float
    probes_ok_in_a_row: int = 0
    ok_since: float | None = None  # when the present row of good probes began
    probes_failed: int = 0
    last_failure: Failure | None = None
    time_to_first_token: float | None = None  # median of the good probes in the present row
    attempts: int = 0
    attempts_failed: int = 0
    searches: Searches | None = None  # of a collection, if there were any
