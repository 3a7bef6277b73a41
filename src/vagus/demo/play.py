"""One fault after the other: inject, watch what Vagus does about it, and measure from outside.

A fault's moments are taken from the event lines of ``vagus run`` and the damage from the load, both
against the clock at the injection. The next fault waits until the last one is over and callers see
a quiet stack again, so that no line of the table carries another's costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from vagus.clock import Clock
from vagus.demo.faults import DemoFault
from vagus.demo.feed import Event, VagusProcess
from vagus.demo.result import FaultResult, RequestSeen, count_requests
from vagus.errors import LabError
from vagus.lab.client import SupervisorClient
from vagus.lab.settings import LabSettings
from vagus.narrative import narrate

HEALED_WITHIN = 120.0  # s; then the fault counts as not healed
QUIET_FOR = 3  # answered questions in a row without a failure before the next fault
QUIET_WITHIN = 60.0  # s
SLOW_FACTOR = 5.0  # times the usual time to first token ...
SLOW_FLOOR = 2.0  # ... and at least this, in s: below it nobody complains
POLL = 0.2

_OVER = frozenset({"resolved", "escalated", "shadowed"})


class Play:
    """Plays faults on a lab that is up, under load, with Vagus beside it."""

    def __init__(
        self,
        settings: LabSettings,
        client: SupervisorClient,
        vagus: VagusProcess,
        requests: Sequence[RequestSeen],
        load_began: float,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._client = client
        self._vagus = vagus
        self._requests = requests
        self._load_began = load_began
        self._clock = clock
        self._slow_after = SLOW_FLOOR

    async def until_quiet(self, *, answers: int = QUIET_FOR, within: float = QUIET_WITHIN) -> None:
        """Return once ``answers`` questions in a row, asked from now on, were answered well.

        Raises LabError if that does not happen ``within`` so many seconds.
        """
        start = self._clock.now() - self._load_began
        deadline = self._clock.monotonic() + within
        while True:
            asked = [r for r in self._requests if r.asked >= start]
            last = asked[-answers:]
            if len(last) == answers and not any(r.failed for r in last):
                return
            if self._clock.monotonic() > deadline:
                why = next((r.failed for r in reversed(asked) if r.failed), "no answers")
                raise LabError(f"the stack did not become quiet within {within:.0f} s: {why}")
            await self._clock.sleep(POLL)

    def learn_usual_pace(self) -> float:
        """Take the time to first token seen so far as usual; the bound of slow that follows."""
        seen = sorted(r.first_token for r in self._requests if r.first_token is not None)
        if seen:
            self._slow_after = max(SLOW_FACTOR * seen[len(seen) // 2], SLOW_FLOOR)
        return self._slow_after

    async def play(self, fault: DemoFault, tell: Callable[[Event], None]) -> FaultResult:
        """Inject ``fault`` and stay until Vagus is done with it, or for ``HEALED_WITHIN`` s."""
        from vagus.lab import damage  # needs the extra; listing the faults does not

        if fault.silent:
            await asyncio.to_thread(damage.prepare, self._settings, fault.fault)
        first = len(self._vagus.events)
        subject = f"{fault.component}/{fault.replica}"
        injected = self._clock.now()
        if fault.silent:
            await asyncio.to_thread(damage.inflict, self._settings, fault.fault)
        else:
            await self._client.fault(fault.replica, fault.fault)
        self._vagus.listeners.append(tell)
        try:
            await self._vagus.until(
                lambda event: event.event in _OVER and event.text("subject") == subject,
                since=first,
                timeout=HEALED_WITHIN,
            )
        except TimeoutError:
            pass  # told by the table: not healed
        finally:
            self._vagus.listeners.remove(tell)
        ended = self._clock.now()
        return self._measure(fault, subject, self._vagus.events[first:], injected, ended)

    def _measure(
        self,
        fault: DemoFault,
        subject: str,
        events: Sequence[Event],
        injected: float,
        ended: float,
    ) -> FaultResult:
        about = [e for e in events if subject in (e.text("subject"), e.text("target"))]

        def first_after(wanted: Callable[[Event], bool]) -> float | None:
            return next((e.at - injected for e in about if wanted(e)), None)

        healed_s = first_after(lambda e: e.event == "resolved")
        asked, failed, slow = count_requests(
            self._requests,
            injected - self._load_began,
            ended - self._load_began,
            self._slow_after,
        )
        return FaultResult(
            fault=fault.name,
            title=fault.title,
            replica=fault.replica,
            injected=injected - self._load_began,
            detected_s=first_after(lambda e: e.event == "finding.opened"),
            safe_s=first_after(lambda e: e.event == "applied" and e.text("purpose") == "contain"),
            healed_s=healed_s,
            requests=asked,
            failed=failed,
            slow=slow,
            healed=healed_s is not None,
            actions=tuple(e.text("action") for e in about if e.event == "applied"),
            story=tuple((e.at - injected, narrate(e.event, e.facts).text) for e in about),
        )
