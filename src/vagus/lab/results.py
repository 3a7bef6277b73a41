"""What became of each request of a load, and what that comes to.

Every time is counted from the moment at which the request was *meant* to be sent. Counted from when
it was sent, a generator that is held up by a slow answer would forgive the stack just those
requests that hurt most (coordinated omission).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vagus.lab.answers import Failure


@dataclass(frozen=True)
class Result:
    """One request. Times are seconds since the load began; ``None`` is: it did not happen."""

    intended: float
    sent: float
    first_token: float | None
    ended: float
    failure: Failure | None
    detail: str
    """What exactly failed, for people; empty if nothing did."""
    cohort: str
    trace_id: str
    pieces: int

    @property
    def ok(self) -> bool:
        return self.failure is None

    @property
    def ttft(self) -> float | None:
        """Time to first token, from the intended moment."""
        return None if self.first_token is None else self.first_token - self.intended

    @property
    def latency(self) -> float:
        """Time to the end of the answer, or to its failure, from the intended moment."""
        return self.ended - self.intended


@dataclass(frozen=True)
class Quantiles:
    """Of good answers, in seconds."""

    p50: float
    p90: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Quantiles | None:
        """``None`` if there is nothing to take quantiles of."""
        if not values:
            return None
        at = np.quantile(values, (0.5, 0.9, 0.95, 0.99, 1.0))
        return cls(*(round(float(value), 4) for value in at))


@dataclass(frozen=True)
class Summary:
    """A load in a few numbers."""

    requests: int
    ok: int
    failed: int
    slow: int
    """Good answers whose first token came later than ``slow_after_s``."""
    failures: Mapping[str, int]
    ttft_s: Quantiles | None
    latency_s: Quantiles | None
    worst_lateness_s: float
    """How late a request was sent at worst; if not small, the generator was the bottleneck."""

    @classmethod
    def of(cls, results: Sequence[Result], slow_after_s: float) -> Summary:
        good = [result for result in results if result.ok]
        first = [result.ttft for result in good if result.ttft is not None]
        failures = Counter(result.failure.value for result in results if result.failure)
        return cls(
            requests=len(results),
            ok=len(good),
            failed=len(results) - len(good),
            slow=sum(seconds > slow_after_s for seconds in first),
            failures=dict(failures.most_common()),
            ttft_s=Quantiles.of(first),
            latency_s=Quantiles.of([result.latency for result in good]),
            worst_lateness_s=round(max((r.sent - r.intended for r in results), default=0.0), 4),
        )
