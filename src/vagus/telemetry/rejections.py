"""What was refused, by name: no evidence disappears without being counted.

Every reason has its name here, so that they can be documented, exported and looked for. A rejection
is told once in a while, not every time: a target that answers HTML once a second would otherwise
fill the disk with the news.
"""

from __future__ import annotations

import threading
from collections import Counter
from enum import StrEnum

import structlog

from vagus.clock import Clock

log = structlog.get_logger()

TELL_EVERY = 60.0  # s between two warnings of the same name and place
_PLACES = 4096  # remembered for that; a label or a path that is always new must not fill memory


class Rejected(StrEnum):
    """Why something was not taken; the label ``reason`` of ``vagus_rejections_total``."""

    # scrapes
    SCRAPE_FAILED = "scrape_failed"  # the target gave no metrics: refused, silent, HTML ...
    EXPOSITION_LINE = "exposition_line"  # one line that can't be read
    TOO_MANY_SERIES = "too_many_series"  # of one target; the rest is not kept
    TOO_MANY_COHORTS = "too_many_cohorts"  # of one component; the rest is kept as part of the whole
    UNKNOWN_SIGNAL = "unknown_signal"  # not in the catalogue
    UNKNOWN_SENDER = "unknown_sender"  # pushed by, or about, nobody in the stack
    MALFORMED_PUSH = "malformed_push"  # a request that can't be read, or is too large
    MISMATCH = "mismatch"  # its unit or kind is not that of the signal whose name it bears
    NOT_FINITE = "not_finite"  # NaN or infinite
    OUT_OF_ORDER = "out_of_order"  # not newer than what is known
    BUCKETS_DIFFER = "buckets_differ"  # histograms that can't be put together, or are none
    # taken, and told: what was counted until then is lost
    BUCKETS_CHANGED = "buckets_changed"  # a histogram got other bounds
    COUNTER_RESET = "counter_reset"  # it went down: it has grown from zero since
    CLOCK_JUMPED = "clock_jumped"  # times went back by more than lateness explains
    # the gateway's log
    LOG_UNREADABLE = "log_unreadable"  # the file
    LOG_LINE = "log_line"  # one line that is no row, too long, or cut off
    GATEWAY_SILENT = "gateway_silent"  # its admin gave no statistics
    # probes
    PROBE_BROKE = "probe_broke"  # a prober raised instead of answering: a bug of ours
    # recording
    HISTORY_LOST = "history_lost"  # evidence that could not be recorded


class Rejections:
    """Counts by name; warns of each name and place at most every ``TELL_EVERY`` seconds.

    Threads share it: recording and long expositions are worked on aside.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[tuple[Rejected, str], float] = {}
        self._lock = threading.Lock()
        self.counts: Counter[Rejected] = Counter()

    def count(self, reason: Rejected, where: str, why: str, amount: int = 1) -> None:
        """``amount`` more, at ``where``, because of ``why``."""
        now = self._clock.monotonic()
        with self._lock:
            self.counts[reason] += amount
            told = self._told.get((reason, where))
            if told is not None and now - told < TELL_EVERY:
                return
            if len(self._told) >= _PLACES:
                self._told.clear()
            self._told[reason, where] = now
        log.warning("telemetry.rejected", reason=reason.value, where=where, why=why)
