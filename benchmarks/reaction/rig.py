"""The rig: three light replicas behind one Envoy, and the faults that are done to one of them.

Everything is a process of its own, as it would be, in a folder that goes away with the rig. Which
replica a request went to is read from Envoy's record of attempts, which all systems under test have
in common; health checks and probes are not in it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from vagus.adapters.envoy import endpoints
from vagus.clock import Clock
from vagus.errors import LabError
from vagus.lab import gateway
from vagus.lab.envoy_clusters import HttpCluster, Protection
from vagus.lab.envoy_config import Edge
from vagus.lab.settings import HOST, url
from vagus.model import Endpoint

FAULTS = ("kill", "stop", "slow", "garbage", "cut", "http-500")
COMPONENT = "chat"
CHAT_PATH = "/v1/chat/completions"
FAULTY = "chat-2"
_SILENCE_S = 5.0
_READY_WITHIN_S = 30.0
_POLL_S = 0.05
_GRACE_S = 5.0
_BLOCKS = range(30_200, 31_200, 20)  # below the ports that Linux gives to outgoing connections


@dataclass(frozen=True)
class Ports:
    """A block of ports that nobody listens on."""

    base: int

    @property
    def edge(self) -> int:
        return self.base

    @property
    def admin(self) -> int:
        return self.base + 1

    @property
    def replicas(self) -> Mapping[str, int]:
        return {f"{COMPONENT}-{n}": self.base + 1 + n for n in (1, 2, 3)}

    def spare(self, number: int) -> int:
        """For what a system under test brings along; ``number`` from 0 to 4."""
        return self.base + 10 + number

    @classmethod
    def free(cls) -> Ports:
        for base in _BLOCKS:
            if all(_is_free(base + offset) for offset in range(15)):
                return cls(base)
        raise LabError(
            f"no free ports between {_BLOCKS.start} and {_BLOCKS.stop}",
            mend="end what listens there",
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


@dataclass
class Rig:
    """What a system under test gets to see, and what the harness does to it."""

    folder: Path
    ports: Ports
    edge: Edge
    session: aiohttp.ClientSession
    clock: Clock
    upstreams: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    _processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def spawn(self, name: str, argv: Sequence[str]) -> asyncio.subprocess.Process:
        """Start a process in a group of its own; its output goes to ``NAME.log``."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    async def until_answers(self, name: str, where: str) -> None:
        """Wait for a 200 from ``where``; raises LabError with the last words of ``name``."""
        deadline = self.clock.monotonic() + _READY_WITHIN_S
        while True:
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self.session.get(where) as response:
                    if response.status == 200:
                        return
            if self.clock.monotonic() > deadline:
                log = self.folder / f"{name}.log"
                said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                last = said[-1] if said else "it said nothing"
                raise LabError(f"{name} does not become ready: {last}", where=where)
            await self.clock.sleep(_POLL_S)

    async def inject(self, fault: str) -> None:
        """Do ``fault`` to the one replica."""
        process = self.upstreams[FAULTY]
        if fault == "kill":
            process.kill()
        elif fault == "stop":
            process.send_signal(signal.SIGSTOP)
        else:
            order = url(self.ports.replicas[FAULTY]) + "/-/fault"
            async with self.session.post(order, json={"fault": fault}) as response:
                response.raise_for_status()

    def eject(self, replica: str) -> None:
        """Take ``replica`` out of Envoy's endpoints: what a webhook of one's own would do."""
        endpoints_now = [
            Endpoint(name, url(port), "unhealthy" if name == replica else "healthy", 1.0)
            for name, port in self.ports.replicas.items()
        ]
        document = endpoints.render(COMPONENT, endpoints_now, f"without-{replica}")
        path = self.edge.folder / endpoints.file_name(COMPONENT)
        gateway.replace(path, json.loads(document))

    def sent_to(self, replica: str) -> list[float]:
        """When attempts at ``replica`` started, seconds since the epoch."""
        host = f"{HOST}:{self.ports.replicas[replica]}"
        starts: dict[tuple[str, str], float] = {}
        with self.edge.access_log.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if row["host"] == host:
                    starts[row["id"], row["attempt"]] = float(row["t"])
        return sorted(starts.values())

    async def end(self, process: asyncio.subprocess.Process) -> None:
        """Ask a process to end, then make its whole group end."""
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _GRACE_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    def keep_logs(self, folder: Path) -> None:
        """Copy what every process has said into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        for log in self.folder.glob("*.log"):
            shutil.copyfile(log, folder / log.name)

    async def end_all(self) -> None:
        for process in self.upstreams.values():
            if process.returncode is None:
                process.kill()  # it may be stopped, and keeps nothing that could be lost
        await asyncio.gather(*(self.end(process) for process in self._processes))


@asynccontextmanager
async def standing(
    protection: Protection, clock: Clock, logs: Path | None = None
) -> AsyncIterator[Rig]:
    """A healthy rig whose Envoy is configured with ``protection``; ``logs`` outlives it."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vagus-reaction-")))
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        ports = Ports.free()
        cluster = HttpCluster(
            COMPONENT,
            ports.replicas,
            (CHAT_PATH,),
            protection,
            health_ends_ejection=False,
            silence_s=_SILENCE_S,
        )
        edge = Edge(folder / "envoy", ports.edge, ports.admin, (cluster,))
        rig = Rig(folder, ports, edge, session, clock)
        if logs is not None:
            stack.callback(rig.keep_logs, logs)
        stack.push_async_callback(rig.end_all)
        for name, port in ports.replicas.items():
            argv = (sys.executable, "-m", "benchmarks.reaction.upstream", str(port))
            rig.upstreams[name] = await rig.spawn(name, argv)
        for name, port in ports.replicas.items():
            await rig.until_answers(name, url(port) + "/health")
        gateway.write(edge)
        await rig.spawn("envoy", gateway.envoy(edge))
        await rig.until_answers("envoy", url(ports.admin) + "/ready")
        yield rig
