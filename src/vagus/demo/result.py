"""What a demo saw, and its forms for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class RequestSeen:
    """One question of the load, as its asker saw it; times in s since the demo's load began."""

    asked: float
    first_token: float | None  # s from asking to the first token
    failed: str  # why, or empty


@dataclass(frozen=True)
class FaultResult:
    """One fault's line in the table. Times are seconds from the injection; None: not in time."""

    fault: str
    title: str
    replica: str
    injected: float  # s since the load began
    detected_s: float | None
    safe_s: float | None
    healed_s: float | None
    requests: int
    failed: int
    slow: int
    healed: bool
    actions: tuple[str, ...]
    story: tuple[tuple[float, str], ...] = ()  # (s from the injection, what Vagus said)


@dataclass(frozen=True)
class DemoResult:
    faults: tuple[FaultResult, ...]
    requests: tuple[RequestSeen, ...]
    mode: str
    began: float  # epoch seconds

    @property
    def healed(self) -> int:
        return sum(fault.healed for fault in self.faults)

    @property
    def all_healed(self) -> bool:
        return bool(self.faults) and self.healed == len(self.faults)

    def to_json(self) -> dict[str, object]:
        hidden = ("story", "title", "replica", "injected")
        return {
            "faults": [
                {key: value for key, value in asdict(fault).items() if key not in hidden}
                for fault in self.faults
            ],
            "healed": self.healed,
            "total": len(self.faults),
        }


def count_requests(
    requests: Sequence[RequestSeen], start: float, end: float, slow_after: float
) -> tuple[int, int, int]:
    """How many were asked from ``start`` to ``end``, how many of them failed, and how many of the
    others had no first token within ``slow_after`` s."""
    asked = [r for r in requests if start <= r.asked <= end]
    failed = sum(bool(r.failed) for r in asked)
    slow = sum(
        not r.failed and r.first_token is not None and r.first_token > slow_after for r in asked
    )
    return len(asked), failed, slow
