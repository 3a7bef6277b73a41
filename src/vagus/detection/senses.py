"""Whether Vagus may believe what it sees.

When most targets vanish in the same few seconds, either everything died or the watcher went blind,
and from here the two look alike. Acting would be wrong either way: on a blind watcher's word it
harms what is well, and when everything died at once no restart of single replicas is the answer. So
it holds still, says what it saw, and believes again by itself once evidence has been steady for a
while. The same goes for a wall clock that was set, and for silence of every source at once.

One dead replica, or two of six, is what Vagus is for and must not make it doubt itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vagus.model import Attempt, Evidence, Failure, Scrape, Sense, SensesReport, Subject
from vagus.topology import Topology

MISSES = 2
"""Failed scrapes in a row until a target counts as missing: one is lost on any network."""
TOGETHER_S = 8.0
"""Targets that went missing within this time went missing together: two scrapes, their timeouts,
and the spread of the grid."""
TOO_MANY = 0.5
"""More than this share of the targets together is too much to believe; and at least AT_LEAST."""
AT_LEAST = 2
SILENT_S = 5.0
"""Nothing at all from any source for this long, or for SILENT_GAPS usual gaps, is silence."""
SILENT_GAPS = 5.0
JUMP_BACK_S = 0.5
JUMP_AHEAD_S = 30.0
"""Between two looks, a second or so apart, the clock moved this far: it was set, or this process
was stopped. Less is a busy machine."""
STEADY_S = 5.0
"""Good evidence must last this long before it is believed again."""


@dataclass(slots=True)
class _Target:
    seen_at: float  # its last scrape, good or bad
    gap: float = 0.0  # between its scrapes, usually
    was_there: bool = False  # it gave metrics, once
    refuses: bool = False  # nobody answers at all, as against answering without metrics
    misses: int = 0
    missing_since: float = 0.0  # the first miss in a row


class Senses:
    """Judges the sources as a whole; :meth:`observe` every batch, :meth:`report` every tick."""

    def __init__(self, topology: Callable[[], Topology]) -> None:
        self._topology = topology
        self._targets: dict[Subject, _Target] = {}
        self._heard_at: float | None = None  # by our own clock, at the last report
        self._heard_since = False
        self._log_heard = False
        self._now: float | None = None
        self._doubted_at: float | None = None
        self._doubt = ""

    def observe(self, batch: Sequence[Evidence]) -> None:
        for evidence in batch:
            self._heard_since = True
            if isinstance(evidence, Attempt):
                self._log_heard = True
            elif isinstance(evidence, Scrape) and evidence.sense is Sense.SCRAPE:
                self._note(evidence)

    def _note(self, scrape: Scrape) -> None:
        target = self._targets.get(scrape.subject)
        if target is None:
            target = self._targets[scrape.subject] = _Target(scrape.at)
        elif scrape.at > target.seen_at:
            gap = scrape.at - target.seen_at
            target.gap = gap if target.gap == 0 else target.gap + 0.2 * (gap - target.gap)
            target.seen_at = scrape.at
        target.refuses = scrape.failure in (Failure.REFUSED, Failure.TIMEOUT)
        if scrape.failure is None:
            target.was_there, target.misses = True, 0
            return
        if target.misses == 0:
            target.missing_since = scrape.at
        target.misses += 1

    def report(self, now: float) -> SensesReport:
        """What can be believed at ``now``; not trusted means: hold still, and say ``reason``."""
        self._follow_topology()
        missing = self._missing(now)
        doubt = self._jumped(now) or self._silence(now) or self._vanished(missing)
        if doubt:
            self._doubt, self._doubted_at = doubt, now
        elif self._doubted_at is not None and now - self._doubted_at >= STEADY_S:
            self._doubt, self._doubted_at = "", None
        reason = self._doubt
        if reason and not doubt and self._doubted_at is not None:
            reason += f"; steady again for {now - self._doubted_at:.0f} s"
        return SensesReport(
            trusted=not reason, reason=reason, silent=len(missing), watched=len(self._watched())
        )

    def _follow_topology(self) -> None:
        members = set(self._topology().replicas())
        for subject in self._targets.keys() - members:
            del self._targets[subject]

    # --- reasons for doubt ------------------------------------------------------------------------

    def _jumped(self, now: float) -> str:
        before, self._now = self._now, now
        if before is None:
            return ""
        moved = now - before
        if moved < -JUMP_BACK_S:
            self._start_afresh(now)
            return f"the wall clock was set back by {-moved:.1f} s"
        if moved > JUMP_AHEAD_S:
            self._start_afresh(now)
            return (
                f"{moved:.0f} s passed between two looks: the clock was set, or Vagus was stopped"
            )
        return ""

    def _start_afresh(self, now: float) -> None:
        """Times from before the jump can't be compared with those after it."""
        self._targets.clear()
        self._heard_at = now

    def _silence(self, now: float) -> str:
        if self._heard_since or self._heard_at is None:
            was_heard = self._heard_since
            self._heard_at, self._heard_since = now, False
            return "" if was_heard else "nothing has been seen yet"
        silent_for = now - self._heard_at
        if silent_for < max(SILENT_S, SILENT_GAPS * self._usual_gap()):
            return ""
        sources = "scrapes, probes and the gateway's log" if self._log_heard else "every source"
        return f"{sources} have been silent for {silent_for:.0f} s"

    def _usual_gap(self) -> float:
        gaps = sorted(t.gap for t in self._targets.values())
        return gaps[len(gaps) // 2] if gaps else 0.0

    def _watched(self) -> list[_Target]:
        """Whoever answers, but never gave metrics, has none to miss."""
        return [t for t in self._targets.values() if t.was_there or t.refuses]

    def _missing(self, now: float) -> list[float]:
        """Since when, for every target that is missing, in order."""
        since = []
        for target in self._watched():
            overdue = max(SILENT_S, SILENT_GAPS * target.gap)
            if target.misses >= MISSES:
                since.append(target.missing_since)
            elif now - target.seen_at > overdue:
                since.append(target.seen_at + target.gap)
        return sorted(since)

    def _vanished(self, missing: list[float]) -> str:
        """The most targets that went missing together, out of those that were there until then."""
        for first, began in enumerate(missing):
            together = sum(1 for at in missing[first:] if at - began <= TOGETHER_S)
            there = len(self._watched()) - first
            if together >= AT_LEAST and together > TOO_MANY * there:
                spread = missing[first + together - 1] - began
                return (
                    f"{together} of {there} scrape targets went missing within {spread:.1f} s:"
                    " either all of them died or Vagus is blind, so it holds still"
                )
        return ""
