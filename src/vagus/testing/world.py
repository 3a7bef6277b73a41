"""A small world in memory: replicas that are sick or well, a gateway and a runtime that reach them.

Time is real or manual, as the clock given. A replica's sickness ends by what heals it (``restart``,
``replace``, or nothing), so a test says what is wrong and watches what the loop makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vagus.clock import Clock
from vagus.errors import ActionError
from vagus.model import Endpoint, Failure, Observed, Subject, Traffic


@dataclass
class Replica:
    """A pretended process. ``sick_until`` names the action that heals it; None: it is well."""

    address: str
    sick_until: str | None = None
    well_since: float = 0.0
    restarts: list[str] = field(default_factory=list)  # the tokens, in order


@dataclass
class SmallWorld:
    """Implements the ports Gateway, Runtime and Memory over its replicas."""

    clock: Clock
    replicas_by_name: dict[str, Replica]
    component: str = "chat"
    traffic: dict[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    operations: list[str] = field(default_factory=list)
    refuse: str | None = None  # a reason for which the gateway refuses everything
    callers_fail: bool = False  # whoever gets traffic fails its callers
    journal: Path | None = None  # what was done to processes outlives whoever ordered it

    # --- Gateway

    async def apply(self, traffic: Traffic, operation: str) -> None:
        if self.refuse is not None:
            raise ActionError(self.refuse)
        self.operations.append(operation)
        self.traffic |= traffic

    async def ejected(self) -> frozenset[Subject]:
        return frozenset()

    def endpoint(self, replica: str) -> Endpoint:
        """How the gateway treats ``replica`` now."""
        return next(e for e in self.traffic[self.component] if e.replica == replica)

    # --- Runtime

    async def restart(self, subject: Subject, token: str) -> None:
        if self.journal is not None:
            with self.journal.open("a", encoding="utf-8") as lines:
                lines.write(f"{subject.replica} {token}\n")
        self._restarted(subject.replica, token)

    def remember(self) -> None:
        """Take in what the journal says was done before."""
        if self.journal is not None and self.journal.exists():
            for line in self.journal.read_text(encoding="utf-8").splitlines():
                self._restarted(*line.split())

    def _restarted(self, name: str, token: str) -> None:
        replica = self.replicas_by_name[name]
        replica.restarts.append(token)
        self._heal(replica, "restart")

    async def add(self, component: str, token: str) -> Endpoint:
        name = f"{component}-{len(self.replicas_by_name) + 1}"
        address = f"http://127.0.0.1:{9100 + len(self.replicas_by_name)}"
        self.replicas_by_name[name] = Replica(address, well_since=self.clock.now())
        return Endpoint(name, address)

    async def remove(self, subject: Subject, token: str) -> None:
        self.replicas_by_name.pop(subject.replica, None)

    async def replicas(self, component: str) -> Mapping[str, str]:
        return {name: replica.address for name, replica in self.replicas_by_name.items()}

    def _heal(self, replica: Replica, action: str) -> None:
        if replica.sick_until == action:
            replica.sick_until = None
            replica.well_since = self.clock.now()

    # --- Memory

    def observed(self, subject: Subject, since: float) -> Observed:
        now = self.clock.now()
        replica = self.replicas_by_name.get(subject.replica)
        if replica is None or replica.sick_until is not None:
            return Observed(since, now, probes_failed=3, last_failure=Failure.REFUSED)
        served = any(
            e.replica == subject.replica and e.health == "healthy"
            for e in self.traffic.get(subject.component, ())
        )
        return Observed(
            since,
            now,
            probes_ok_in_a_row=9,
            ok_since=max(since, replica.well_since),
            time_to_first_token=0.1,
            attempts=3 if served else 0,
            attempts_failed=3 if served and self.callers_fail else 0,
        )

    def typical_time_to_first_token(self, component: str, except_for: str) -> float | None:
        return 0.1
