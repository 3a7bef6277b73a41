"""A small world in memory: replicas that are sick or well, a gateway and a runtime that reach them.

Time is real or manual, as the clock given. A replica's sickness ends by what heals it (``restart``,
``replace``, or nothing), so a test says what is wrong and watches what the loop makes of it.
"""

from __future__ import annotations

from collections import Counter
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
    versions: dict[str, str] = field(default_factory=dict)  # of replicas that were given one
    traffic: dict[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    operations: list[str] = field(default_factory=list)
    refuse: str | None = None  # a reason for which the gateway refuses everything
    callers_fail: bool = False  # whoever gets traffic fails its callers
    journal: Path | None = None  # what was done to processes outlives whoever ordered it
    glances: int = 0  # looks at a replica, since whatever moment, that see too little for a verdict
    _glanced: Counter[tuple[Subject, float]] = field(default_factory=Counter)
    _added: dict[str, str] = field(default_factory=dict)  # token -> the replica it brought

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
        self._write_down("restart", subject.replica, token)
        self._restarted(subject.replica, token)

    def _restarted(self, name: str, token: str) -> None:
        replica = self.replicas_by_name[name]
        replica.restarts.append(token)
        self._heal(replica, "restart")

    async def deploy(self, subject: Subject, version: str, token: str) -> None:
        self.versions[subject.replica] = version
        await self.restart(subject, token)

    async def version(self, subject: Subject) -> str:
        return self.versions.get(subject.replica, "")

    async def add(self, component: str, token: str) -> Endpoint:
        known = self._added.get(token)
        if known is None:  # an order that was carried out while its answer was lost
            number = 1 + max(int(n.rpartition("-")[2]) for n in self.replicas_by_name)
            known = f"{component}-{number}"
            self._write_down("add", known, token)
            self._add(known, token)
        return Endpoint(known, self.replicas_by_name[known].address)

    def _add(self, name: str, token: str) -> None:
        address = f"http://127.0.0.1:{9100 + int(name.rpartition('-')[2])}"
        self.replicas_by_name[name] = Replica(address, well_since=self.clock.now())
        self._added[token] = name

    async def remove(self, subject: Subject, token: str) -> None:
        if subject.replica in self.replicas_by_name:
            self._write_down("remove", subject.replica, token)
            del self.replicas_by_name[subject.replica]

    def remember(self) -> None:
        """Take in what the journal says was done before."""
        for line in self._journal_lines():
            action, name, token = line.split()
            if action == "restart":
                self._restarted(name, token)
            elif action == "add":
                self._add(name, token)
            else:
                del self.replicas_by_name[name]

    def journalled(self) -> list[str]:
        """What was done to processes, by whomever, each as its action and the replica."""
        return [line.rpartition(" ")[0] for line in self._journal_lines()]

    def _write_down(self, action: str, name: str, token: str) -> None:
        if self.journal is not None:
            with self.journal.open("a", encoding="utf-8") as lines:
                lines.write(f"{action} {name} {token}\n")

    def _journal_lines(self) -> list[str]:
        if self.journal is None or not self.journal.exists():
            return []
        return self.journal.read_text(encoding="utf-8").splitlines()

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
        self._glanced[subject, since] += 1
        if self._glanced[subject, since] <= self.glances:
            return Observed(since, now, probes_ok_in_a_row=1)
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
