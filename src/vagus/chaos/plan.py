"""From an intent to what exactly would be done: one fault on one replica, looked up and not begun.

Nothing here touches anything. What ``vagus chaos plan`` prints is what ``run`` will put into the
undo record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vagus.chaos.faults import Fault, Target, load
from vagus.chaos.intents import ResilienceIntent
from vagus.chaos.targets import matching
from vagus.chaos.undo import Note
from vagus.errors import ChaosError

MARGIN = 30.0  # s of lease beyond what the experiment may last: for its own start and end


@dataclass(frozen=True, slots=True)
class Plan:
    intent: ResilienceIntent
    fault: Fault
    target: Target
    note: Note

    @property
    def lease(self) -> float:
        """Seconds after which the fault is out, whatever happens."""
        return self.intent.lasts + MARGIN

    @property
    def does(self) -> str:
        return self.fault.does(self.note)

    def to_json(self) -> dict[str, object]:
        return {
            "intent": self.intent.name,
            "fault": self.fault.name,
            "subject": str(self.target),
            "does": self.does,
            "lease": self.lease,
            "lasts": self.intent.lasts,
            "holds": [str(promise) for promise in self.intent.holds],
            "undo": dict(self.note),
        }


def plan(intent: ResilienceIntent, found: Sequence[Target], *, turn: int = 0) -> Plan:
    """``intent`` on one of its replicas; ``turn`` picks another each time, since the replicas of a
    component are alike.

    Raises ChaosError if there is no replica, or none to which the fault can be done, with why not.
    """
    fault = load(intent.disturbance.fault)
    chosen = matching(found, intent.component, intent.replica)
    refusals = [fault.refusal(target) for target in chosen]
    able = [target for target, why in zip(chosen, refusals, strict=True) if not why]
    if not able:
        raise ChaosError(
            f"{fault.name} can't be done to {intent.subject}: {refusals[0]}",
            where=intent.name,
            mend=f"it needs {fault.needs}",
        )
    target = able[turn % len(able)]
    return Plan(intent, fault, target, fault.prepare(target, intent.disturbance.parameters))
