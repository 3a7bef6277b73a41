"""What came of an experiment, as it is kept and told."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from vagus.errors import ChaosError

SUFFIX = ".result.json"


class Verdict(StrEnum):
    """The names are those of the Chaos Toolkit where it has the same."""

    PASSED = "passed"
    DEVIATED = "deviated"  # what must hold did not
    BASELINE_NOT_MET = "baseline-not-met"  # the stack was not well before, so nothing was done
    FAULT_NOT_EFFECTIVE = "fault-not-effective"  # injected, and not there
    INCONCLUSIVE = "inconclusive"  # nothing reached it, so nothing was tried
    ABORTED = "aborted"  # by a person, or because something else began
    REFUSED = "refused"  # by the gate; nothing was done
    ERROR = "error"  # it could not be carried out

    @property
    def conclusive(self) -> bool:
        return self in (Verdict.PASSED, Verdict.DEVIATED)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Seconds from the injection; None: it did not come to that."""

    first_symptom: float | None = None
    detected: float | None = None
    diagnosed: float | None = None  # as a fault that the disturbance may be called
    authorised: float | None = None
    acted: float | None = None
    verified: float | None = None
    recovered: float | None = None


@dataclass(frozen=True, slots=True)
class Damage:
    """What callers of a component met meanwhile; counts are those that Vagus saw pass by."""

    requests: float = 0.0
    failed: float = 0.0
    slowest_first_token: float | None = None  # s, the worst 95th percentile


@dataclass(frozen=True, slots=True)
class Result:
    experiment: str
    intent: str
    fault: str
    subject: str
    verdict: Verdict
    because: str  # in a sentence
    began_at: float
    ended_at: float
    injected_at: float | None = None
    does: str = ""
    injection: str = ""
    incident: str = ""
    diagnosis: str = ""  # the fault that was diagnosed on the subject
    diagnosed_rightly: bool | None = None  # None: nothing should have been, or nothing was
    timeline: Timeline = field(default_factory=Timeline)
    remedies: tuple[str, ...] = ()  # that acted on the subject, in order
    damage: Mapping[str, Damage] = field(default_factory=dict)
    harmed_elsewhere: tuple[str, ...] = ()  # other subjects that fell ill meanwhile
    guards: tuple[Mapping[str, str], ...] = ()  # what each said

    def to_json(self) -> dict[str, object]:
        return asdict(self) | {"conclusive": self.verdict.conclusive}


class Results:
    """One file for each experiment, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, result: Result) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{result.experiment}{SUFFIX}"
        fresh = path.with_suffix(f".{os.getpid()}.tmp")
        fresh.write_text(json.dumps(result.to_json(), indent=1) + "\n", encoding="utf-8")
        fresh.replace(path)

    def all(self) -> tuple[Result, ...]:
        """Oldest first. Raises ChaosError for a file that can't be read."""
        found = [_read(path) for path in self._folder.glob(f"*{SUFFIX}")]
        return tuple(sorted(found, key=lambda result: (result.began_at, result.experiment)))


def _read(path: Path) -> Result:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        read.pop("conclusive")
        read["verdict"] = Verdict(read["verdict"])
        read["timeline"] = Timeline(**read["timeline"])
        read["damage"] = {name: Damage(**seen) for name, seen in read["damage"].items()}
        for key in ("remedies", "harmed_elsewhere", "guards"):
            read[key] = tuple(read[key])
        return Result(**read)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ChaosError(
            f"this result can't be read: {error}", where=str(path), mend="move it away"
        ) from error
