"""One experiment, from steady state to steady state; reads from top to bottom in :meth:`_try`.

It is well, or nothing is done. The gate allows it, or nothing is done. Then the fault is in, by its
lease, and callers and the ledger are watched until there is a verdict or a reason to stop. However
this ends, by a verdict, by Ctrl-C or by an error, the fault is taken out first, Vagus is told, and
what was seen is kept.

Injecting and taking out are done on the event loop, on purpose: what runs in a thread would go on
behind a cancellation, and put the fault in after it was taken out.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from vagus.chaos.lease import Leased
from vagus.chaos.plan import Plan
from vagus.chaos.result import Result, Results, Verdict
from vagus.chaos.undo import MachineUptime, Shelf, UndoRecord
from vagus.chaos.watching import Callers, Course, Entry, Vagus, unrest
from vagus.clock import Clock
from vagus.errors import TargetUnreachable, VagusError
from vagus.topology import Topology

LOOKS, LOOK_EVERY = 3, 1.0  # in a row that must find a steady state; s between them
POLL = 0.25  # s between two looks at the ledger
DEAF_FOR = 5.0  # s without an answer of Vagus after which there is nobody to measure
CALM_WITHIN = 60.0  # s for the steady state to come back once the fault is out
PAGE = "200"

Judgement = tuple[Verdict, str]


class Experiment:
    def __init__(
        self,
        plan: Plan,
        vagus: Vagus,
        topology: Topology,
        shelf: Shelf,
        results: Results,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._vagus = vagus
        self._topology = topology
        self._shelf = shelf
        self._results = results
        self._clock = clock
        self._tell = tell
        self._result = Result(
            experiment=f"exp-{secrets.token_hex(4)}",
            intent=plan.intent.name,
            fault=plan.fault.name,
            subject=str(plan.target),
            verdict=Verdict.ERROR,
            because="it did not end",
            began_at=clock.now(),
            ended_at=clock.now(),
            does=plan.does,
        )
        self._course = Course(str(plan.target), float("inf"), plan.fault.causes)
        self._callers = Callers()
        self._cursor = 0

    async def run(self) -> Result:
        """The result, which is kept as well. A cancellation is a verdict, too: aborted."""
        try:
            verdict, because = await self._try()
        except asyncio.CancelledError:
            verdict, because = Verdict.ABORTED, "it was told to stop"
        except VagusError as error:
            verdict, because = Verdict.ERROR, str(error)
        self._result = replace(
            self._result,
            verdict=verdict,
            because=because,
            ended_at=self._clock.now(),
            incident=self._course.incident,
            diagnosis=self._course.diagnosis,
            diagnosed_rightly=self._rightly(),
            timeline=self._course.timeline,
            remedies=tuple(self._course.remedies),
            damage=self._callers.damage(),
            harmed_elsewhere=tuple(sorted(self._course.elsewhere)),
        )
        self._results.put(self._result)
        self._tell_the_end()
        return self._result

    async def _try(self) -> Judgement:
        unsteady = await self._unsteady()
        if unsteady:
            return Verdict.BASELINE_NOT_MET, unsteady
        refusal = await self._ask_the_gate()
        if refusal:
            return Verdict.REFUSED, refusal
        self._cursor = (await self._get("ledger", "head"))["seq"]
        with Leased(self._plan.fault, self._record(), self._shelf) as leased:
            self._course.injected_at = self._clock.now()
            self._result = replace(self._result, injected_at=self._course.injected_at)
            leased.inject()
            self._tell(f"injected: {self._plan.does}")
            if not self._plan.fault.took(self._plan.note):
                return Verdict.FAULT_NOT_EFFECTIVE, "it was injected, and is not there"
            verdict, because = await self._observe(leased)
        self._tell("the fault is out")
        if verdict is Verdict.PASSED:
            unrestful = await self.until_calm(CALM_WITHIN)
            if unrestful:
                return Verdict.DEVIATED, f"no steady state came back: {unrestful}"
        return verdict, because

    # --- before ----------------------------------------------------------------------------------

    async def _unsteady(self) -> str:
        """Why the stack is not well now, or empty: several looks in a row must find it so."""
        callers = Callers()
        for look in range(LOOKS):
            if look:
                await self._clock.sleep(LOOK_EVERY)
            status = await self._status()
            if why := unrest(status):
                return why
            callers.take(status, LOOK_EVERY)
        return callers.broken(self._plan.intent.holds, at_the_end=True)

    async def until_calm(self, within: float) -> str:
        """Wait for a steady state; why there is none, or empty."""
        deadline = self._clock.monotonic() + within
        while why := unrest(await self._status()):
            if self._clock.monotonic() > deadline:
                return why
            await self._clock.sleep(LOOK_EVERY)
        return ""

    async def _ask_the_gate(self) -> str:
        """Why it may not be done, or empty."""
        body = {
            "experiment": self._result.experiment,
            "fault": self._plan.fault.name,
            "target": str(self._plan.target),
            "does": self._plan.does,
            "lease": self._plan.lease,
            "cap": self._plan.intent.blast_cap,
            "causes": sorted(self._plan.fault.causes),
        }
        ruling = await asyncio.to_thread(self._vagus.post, "injections", body=body)
        self._result = replace(self._result, guards=tuple(ruling["guards"]))
        if ruling["allowed"]:
            self._result = replace(self._result, injection=ruling["injection"]["id"])
            return ""
        return str(ruling["reason"])

    def _record(self) -> UndoRecord:
        return UndoRecord.made(
            self._result.injection,
            fault=self._plan.fault.name,
            subject=str(self._plan.target),
            does=self._plan.does,
            note=self._plan.note,
            lease=self._plan.lease,
            uptime=MachineUptime(),
        )

    # --- while it is in --------------------------------------------------------------------------

    async def _observe(self, leased: Leased) -> Judgement:
        looked, heard = self._clock.monotonic(), self._clock.monotonic()
        judged: Judgement | None = None
        while True:
            await self._clock.sleep(POLL)
            now = self._clock.monotonic()
            status: Mapping[str, Any] | None = None
            try:
                await self._read_ledger()
                if judged or now - looked >= LOOK_EVERY:
                    status = await self._status()
                    self._callers.take(status, now - looked)
                    looked = now
                heard = now
            except TargetUnreachable as error:
                if now - heard > DEAF_FOR:
                    return Verdict.ABORTED, f"nobody is there to be measured: {error}"
            if not leased.held:
                return Verdict.ABORTED, "its lease is over, or somebody took the fault out"
            if status is not None and (reason := self._reason_to_stop(status)):
                return Verdict.ABORTED, reason
            judged = self._judge(self._clock.now() - self._course.injected_at)
            if judged is not None and status is not None:
                return judged  # not before callers were looked at once more

    def _reason_to_stop(self, status: Mapping[str, Any]) -> str:
        if status["stopped"]:
            return f"the kill switch was set: {status['stopped']}"
        if status["mode"] == "off":
            return "the mode was set to off"
        for subject, incident in self._course.elsewhere.items():
            if not self._is_near(subject.partition("/")[0]):
                return f"a real incident began: {subject} ({incident})"
        return ""

    def _is_near(self, component: str) -> bool:
        """Whether the fault may be what ails it: it is the same component, or needs it."""
        target = self._plan.target.component
        return component == target or self._topology.depends(component, target)

    def _judge(self, after: float) -> Judgement | None:
        """The verdict, once there can be one."""
        intent, course = self._plan.intent, self._course
        if broken := self._callers.broken(intent.holds, at_the_end=False):
            return Verdict.DEVIATED, broken
        if intent.detected_within is None:
            if course.remedies:
                return Verdict.DEVIATED, f"{course.remedies[0]} acted on what needs no healing"
            return self._at_the_end("nothing acted on it") if after > intent.lasts else None
        if course.detected is None and after > intent.detected_within:
            return Verdict.DEVIATED, f"not detected within {intent.detected_within:g} s"
        if course.detected is not None and course.detected > intent.detected_within:
            return Verdict.DEVIATED, f"detected after {course.detected:.1f} s only"
        if course.over and course.over != "resolved":
            return Verdict.DEVIATED, f"it was not healed: the incident {course.over}"
        if course.recovered is not None:
            return self._recovered(course.recovered)
        if after > intent.lasts:
            return Verdict.DEVIATED, f"not recovered within {intent.recovered_within:g} s"
        return None

    def _recovered(self, after: float) -> Judgement:
        intent, acted = self._plan.intent, set(self._course.remedies)
        if after > intent.recovered_within:
            return Verdict.DEVIATED, f"recovered after {after:.1f} s only"
        if strange := acted - set(intent.may or acted):
            return Verdict.DEVIATED, f"{', '.join(sorted(strange))} acted, and may not"
        if missing := set(intent.must) - acted:
            return Verdict.DEVIATED, f"it recovered without {', '.join(sorted(missing))}"
        return self._at_the_end(f"recovered after {after:.1f} s")

    def _at_the_end(self, well: str) -> Judgement:
        if broken := self._callers.broken(self._plan.intent.holds, at_the_end=True):
            return Verdict.DEVIATED, broken
        if not self._callers.requests.get(self._plan.target.component):
            return Verdict.INCONCLUSIVE, "no request reached the component meanwhile"
        return Verdict.PASSED, well

    # --- afterwards ------------------------------------------------------------------------------

    def _rightly(self) -> bool | None:
        if not self._plan.fault.causes or not self._course.diagnosis:
            return None
        return self._course.diagnosed is not None

    def _tell_the_end(self) -> None:
        """Tell Vagus. If it can't hear, the lease ends there by itself, too."""
        result = self._result
        if not result.injection:
            return
        body = {"verdict": result.verdict.value, "note": _printable(result.because)}
        try:
            self._vagus.post("injections", result.injection, "end", body=body)
        except VagusError as error:
            self._tell(f"Vagus could not be told of the end: {error}")
        else:
            self._shelf.forget(result.injection)

    async def _read_ledger(self) -> None:
        while True:
            page = await self._get("ledger", cursor=str(self._cursor), limit=PAGE)
            rows = page["items"]
            if rows:
                self._cursor = rows[-1]["seq"]
                self._course.take(map(Entry.read, rows))
            if page["next"] is None:
                return

    async def _status(self) -> Mapping[str, Any]:
        status: Mapping[str, Any] = await asyncio.to_thread(self._vagus.status)
        return status

    async def _get(self, *path: str, **query: str) -> Any:
        return await asyncio.to_thread(self._vagus.get, *path, **query)


def _printable(text: str) -> str:
    """As the API takes a note: one line, not too long."""
    return "".join(c if c.isprintable() else " " for c in text)[:500]
