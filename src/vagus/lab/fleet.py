"""The replicas of the lab: start, restart, add, remove, and break on purpose.

What died stays dead. A supervisor that restarts by itself would heal in Vagus's place, and hide
from it what there was to heal; this one does what it is told, once, and says how things stand.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from vagus.clock import Clock
from vagus.errors import LabError
from vagus.lab.hop import CONTROL_PATH
from vagus.lab.ports import port_free
from vagus.lab.proc import resident_bytes
from vagus.lab.processes import Command, Group, Processes
from vagus.lab.settings import HOST, url
from vagus.lab.status import ReplicaStatus, State

SIGNALS: Mapping[str, signal.Signals] = {
    "kill": signal.SIGKILL,
    "stop": signal.SIGSTOP,
    "cont": signal.SIGCONT,
}
"""Faults that the kernel brings about; a replica's own hop does the others."""

_POLL_S = 0.05
_PROBE_TIMEOUT = aiohttp.ClientTimeout(total=2)
_SETTLED_WITHIN_S = 2.0

ReadyCheck = Callable[[int], Awaitable[bool]]


class Refused(LabError):
    """An order that can't be carried out; ``status`` is how HTTP says why."""

    def __init__(self, status: int, message: str, *, mend: str = "") -> None:
        super().__init__(message, mend=mend)
        self.status = status


@dataclass(frozen=True)
class Blueprint:
    """How replicas of one component are made."""

    command: Callable[[str, int, str], Command]
    """From name, port and version."""
    ready: ReadyCheck
    """Whether the replica on that port serves."""
    port: Callable[[int], int] | None = None
    """From a replica's number; without it, replicas can't be added or removed."""
    scheme: str = "http"
    hop: bool = False
    """Whether the replica can be told to misbehave."""
    version: str = ""
    """What replicas run unless they are told otherwise; empty: there is one version only."""
    require: Callable[[str], object] | None = None
    """Raises LabError for a version that is not there to be run."""


@dataclass
class Replica:
    """One replica and what became of it."""

    name: str
    component: str
    port: int
    group: Group
    version: str
    generation: int = 1
    ready: bool = False
    fault: str | None = None
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def state(self) -> State:
        state = self.group.state()
        if state == "running":
            return "running" if self.ready else "starting"
        return "stopped" if state == "stopped" else "exited"


class Fleet:
    """All replicas of one lab, by name."""

    def __init__(
        self,
        blueprints: Mapping[str, Blueprint],
        processes: Processes,
        session: aiohttp.ClientSession,
        logs_dir: Path,
        clock: Clock,
    ) -> None:
        self._blueprints = blueprints
        self._processes = processes
        self._session = session
        self._logs_dir = logs_dir
        self._clock = clock
        self._replicas: dict[str, Replica] = {}
        self._ready_watches: set[asyncio.Task[None]] = set()

    # What there is

    def statuses(self) -> dict[str, ReplicaStatus]:
        """All replicas, in the order in which they were added."""
        memory = resident_bytes()
        return {name: self._status(replica, memory) for name, replica in self._replicas.items()}

    def status(self, name: str) -> ReplicaStatus:
        return self._status(self._find(name), resident_bytes())

    def _status(self, replica: Replica, memory: Mapping[int, int]) -> ReplicaStatus:
        group = replica.group
        return ReplicaStatus(
            name=replica.name,
            component=replica.component,
            address=f"{self._blueprints[replica.component].scheme}://{HOST}:{replica.port}",
            pid=group.pid,
            state=replica.state,
            exit_code=group.exit_code,
            started_at=group.started_at,
            generation=replica.generation,
            fault=replica.fault,
            version=replica.version,
            rss_mb=round(memory.get(group.pid, 0) / 2**20, 1),
        )

    def _find(self, name: str) -> Replica:
        try:
            return self._replicas[name]
        except KeyError:
            known = ", ".join(self._replicas) or "none yet"
            raise Refused(
                404, f"there is no replica {name!r}", mend=f"there are: {known}"
            ) from None

    # Orders

    def start(self, component: str, name: str, port: int) -> None:
        """Start a replica that does not exist yet."""
        version = self._blueprints[component].version
        group = self._launch(component, name, port, version)
        self._replicas[name] = Replica(name, component, port, group, version)
        self._watch_ready(self._replicas[name])

    async def until_ready(self, name: str, within_s: float) -> None:
        """Wait until a replica serves; raises if it exits or takes too long."""
        replica = self._find(name)
        deadline = self._clock.monotonic() + within_s
        while not replica.ready:
            if replica.group.exited.is_set():
                code, words = replica.group.exit_code, self._last_words(name)
                raise LabError(f"{name} ended ({code}): {words}", where=str(self._log(name)))
            if self._clock.monotonic() > deadline:
                raise LabError(
                    f"{name} does not serve after {within_s:.0f} s", where=str(self._log(name))
                )
            await self._clock.sleep(_POLL_S)

    async def restart(self, name: str, version: str | None = None) -> None:
        """End what is left of a replica and start it anew on its port, from now on as ``version``
        if one is given; doesn't wait for ready."""
        replica = self._find(name)
        if version is not None:
            self._require(replica.component, version)
        async with replica.changing:
            await self._processes.end(replica.group)
            replica.version = replica.version if version is None else version
            replica.group = self._launch(replica.component, name, replica.port, replica.version)
            replica.generation += 1
            replica.ready, replica.fault = False, None
            self._watch_ready(replica)

    async def add(self, component: str) -> str:
        """Start one more replica on the next free number, and return its name."""
        number_to_port = self._elastic(component)
        number = 1
        while f"{component}-{number}" in self._replicas or not port_free(number_to_port(number)):
            number += 1
        name = f"{component}-{number}"
        self.start(component, name, number_to_port(number))
        return name

    async def remove(self, name: str) -> None:
        """End a replica and forget it."""
        replica = self._find(name)
        self._elastic(replica.component)
        async with replica.changing:
            await self._processes.end(replica.group)
            del self._replicas[name]

    def _elastic(self, component: str) -> Callable[[int], int]:
        """The ports of a component whose replicas may come and go."""
        blueprint = self._blueprints.get(component)
        elastic = [name for name, other in self._blueprints.items() if other.port]
        if blueprint is None:
            raise Refused(404, f"there is no component {component!r}", mend=", ".join(elastic))
        if blueprint.port is None:
            raise Refused(
                400,
                f"replicas of {component} are not added or removed",
                mend=f"those of {' and '.join(elastic)} are",
            )
        return blueprint.port

    def _require(self, component: str, version: str) -> None:
        """Refuse a version before anything is ended for it."""
        require = self._blueprints[component].require
        if require is None:
            raise Refused(400, f"{component} has one version only")
        try:
            require(version)
        except LabError as error:
            raise Refused(409, f"{version!r}: {error.message}", mend=error.mend) from error

    def _launch(self, component: str, name: str, port: int, version: str) -> Group:
        command = self._blueprints[component].command(name, port, version)
        return self._processes.start(command, self._log(name))

    def _log(self, name: str) -> Path:
        return self._logs_dir / f"{name}.log"

    def _last_words(self, name: str) -> str:
        lines = self._log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    # Readiness

    def _watch_ready(self, replica: Replica) -> None:
        watch = asyncio.create_task(self._until_first_served(replica, replica.group))
        self._ready_watches.add(watch)
        watch.add_done_callback(self._ready_watches.discard)

    async def _until_first_served(self, replica: Replica, group: Group) -> None:
        ready = self._blueprints[replica.component].ready
        while replica.group is group and not group.exited.is_set():
            if await ready(replica.port) and replica.group is group:
                replica.ready = True
                return
            await self._clock.sleep(_POLL_S)

    async def close(self) -> None:
        """Stop waiting for anything."""
        for watch in list(self._ready_watches):
            watch.cancel()
        await asyncio.gather(*self._ready_watches, return_exceptions=True)

    # Faults

    async def fault(self, name: str, order: Mapping[str, object]) -> None:
        """Break a replica, or with ``{"fault": null}`` let its hop behave again."""
        replica = self._find(name)
        wanted = order.get("fault")
        async with replica.changing:
            if isinstance(wanted, str) and wanted in SIGNALS:
                if len(order) > 1:
                    raise Refused(400, f"{wanted} has no parameters")
                await self._send_signal(replica, wanted)
            else:
                await self._misbehave(replica, order)

    async def _send_signal(self, replica: Replica, wanted: str) -> None:
        if replica.state == "exited":
            raise Refused(409, f"{replica.name} is not running", mend="restart it first")
        replica.group.signal(SIGNALS[wanted])
        becomes = {"kill": "exited", "stop": "stopped", "cont": "running"}[wanted]
        deadline = self._clock.monotonic() + _SETTLED_WITHIN_S
        while replica.group.state() not in (becomes, "exited"):
            if self._clock.monotonic() > deadline:
                raise LabError(f"{replica.name} is {replica.state} after the signal {wanted}")
            await self._clock.sleep(_POLL_S / 10)

    async def _misbehave(self, replica: Replica, order: Mapping[str, object]) -> None:
        if not self._blueprints[replica.component].hop:
            raise Refused(400, f"{replica.name} has no hop", mend=f"it takes {', '.join(SIGNALS)}")
        if replica.state in ("stopped", "exited"):
            raise Refused(
                409, f"{replica.name} is {replica.state}", mend="it can't hear: cont or restart it"
            )
        try:
            async with self._session.post(
                url(replica.port) + CONTROL_PATH, json=dict(order), timeout=_PROBE_TIMEOUT
            ) as response:
                answer = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refused(409, f"the hop of {replica.name} does not answer: {error}") from error
        if response.status != 200:
            raise Refused(400, str(answer.get("error")), mend=str(answer.get("mend", "")))
        replica.fault = answer["fault"]


def http_ready(session: aiohttp.ClientSession, path: str) -> ReadyCheck:
    """Ready is who answers ``GET path`` with 200."""

    async def ready(port: int) -> bool:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.get(url(port) + path, timeout=_PROBE_TIMEOUT) as response:
                return response.status == 200
        return False

    return ready
