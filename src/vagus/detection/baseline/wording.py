"""A deviation in one sentence for a tired engineer: what, how much, how much is usual, since when,
and what its siblings do meanwhile."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from vagus.detection.baseline.fleet import BAND
from vagus.model import signals
from vagus.model.series import SeriesKey
from vagus.model.signals import SIGNALS, SignalKind, Worse

_PLAIN = {
    signals.RUNNING: "requests in progress",
    signals.WAITING: "requests that wait",
    signals.KV_CACHE: "use of the KV cache",
    signals.TOKENS_OUT: "tokens written",
    signals.TOKEN_RATE: "pace of writing",
    signals.QUEUE_TIME: "time in the queue",
    signals.TIME_TO_FIRST_TOKEN: "time to first token",
    signals.TIME_PER_TOKEN: "time per token",
    signals.DURATION: "time for a whole answer",
    signals.TIME_PER_BYTE: "time per byte streamed",
    signals.ATTEMPTS_FAILED: "failed requests",
    signals.FAILED: "failed requests",
    signals.STEPS: "steps of the engine",
    signals.PREFIX_HIT_RATIO: "hits of the prefix cache",
    signals.CACHE_HIT_RATIO: "hits of the cache",
    signals.DB_RETURNED_ROWS: "rows returned",
    signals.GPU_XID: "last XID error",
}
_BY = {"gateway": "at the gateway", "probe": "by probes", "push": "as callers report"}
_SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Deviation:
    """One series that is not as it should be. ``seen``, ``usual`` and ``width`` (its usual
    deviation) are in the signal's unit, per second for counters and tallies."""

    key: SeriesKey
    seen: float
    usual: float
    width: float
    since: float
    samples: int
    evidence: float  # nats
    siblings: int  # that were seen, itself not counted
    siblings_alike: int  # of them, those that deviate too

    @property
    def band(self) -> tuple[float, float]:
        """Between which values it usually lies."""
        return max(self.usual - BAND * self.width, 0.0), self.usual + BAND * self.width


def sentence(deviation: Deviation, others: int = 0) -> str:
    """In words. ``others`` is how many more series of the same subject deviate likewise."""
    key = deviation.key
    what = plain(key.signal)
    if key.cohort:
        what = f"{what} of cohort {key.cohort!r}"
    by = _BY.get(key.sense)
    seen, usual, low, high = (
        in_unit(value, key.signal) for value in (deviation.seen, deviation.usual, *deviation.band)
    )
    since = datetime.fromtimestamp(deviation.since, UTC).strftime("%H:%M:%S")
    what = f"{what} {by}" if by else what
    parts = [f"{what}: {seen} where {usual} is usual at this load ({low} to {high})"]
    parts.append(f"since {since} UTC ({deviation.samples} ticks)")
    alike = _alike(deviation)
    if alike:
        parts.append(alike)
    if others:
        parts.append(f"{others} more of its signals deviate likewise")
    return "; ".join(parts)


def _alike(deviation: Deviation) -> str:
    if not deviation.siblings:
        return ""
    whom = "other cohorts" if deviation.key.cohort else "siblings"
    if not deviation.siblings_alike:
        return f"its {deviation.siblings} {whom} are as usual"
    return f"{deviation.siblings_alike} of {deviation.siblings} {whom} too"


def plain(signal: str) -> str:
    """What people call a signal."""
    known = _PLAIN.get(signal)
    if known is not None:
        return known
    without = re.sub(r"^(vagus|gen_ai|db|hw)\.(server\.|client\.)?", "", signal)
    return re.sub(r"[._]", " ", without)


def in_unit(value: float, signal: str) -> str:
    """``value`` as it is written for people."""
    known = SIGNALS[signal]
    rated = known.instrument in ("counter", "tally")
    if known.unit == "s" and not rated:
        return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.3g} ms"
    if known.unit == "s/By":
        return f"{1000 * value:.3g} ms"
    if known.unit == "1" and known.kind is not SignalKind.ERRORS:
        return f"{100 * value:.0f} %"
    if known.unit == "By":
        return f"{value / 2**20:,.0f} MiB"
    unit = "" if known.unit == "1" or known.unit.endswith("}") else f" {known.unit}"
    return f"{_short(value)}{re.sub('[{}]', '', unit)}{'/s' if rated else ''}"


def _short(value: float) -> str:
    for scale, letter in _SCALES:
        if abs(value) >= 10 * scale:
            return f"{value / scale:.3g}{letter}"
    return f"{value:.3g}"


def is_worse(worse: Worse, seen: float, usual: float) -> bool:
    return seen > usual if worse is Worse.UP else seen < usual
