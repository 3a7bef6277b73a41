"""From nothing to a healthy stack: what is started, in which order, and when it counts as up.

Everything that can start at once does. The one chain is the data: Postgres has to be there before
the passages are in it, and both before the pipeline answers. The gateway comes last in another
sense: the lab is up when Envoy itself finds every host healthy, since that is where callers stand.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
from collections.abc import Mapping

import aiohttp

from vagus.clock import Clock
from vagus.errors import LabError
from vagus.lab import chat, embed, gateway, job, rag, vectors, weights
from vagus.lab.api import Health
from vagus.lab.fleet import Blueprint, Fleet, ReadyCheck, http_ready
from vagus.lab.processes import Command, Processes
from vagus.lab.settings import REPLICATED, LabSettings, url

_READY_WITHIN_S = 60.0
_LOADED_WITHIN_S = 180.0
_POLL_S = 0.1
_POSTGRES_GRACE_S = 3.0
_CLUSTERS = ("chat", "embed", "rag", "vectors")


def blueprints(settings: LabSettings, session: aiohttp.ClientSession) -> dict[str, Blueprint]:
    """How each component of the lab is started, and how it tells that it serves."""
    healthy = http_ready(session, "/health")
    admin = http_ready(session, "/ready")
    return {
        "chat": Blueprint(
            command=lambda name, port, version: Command(
                tuple(chat.command(settings, name, port, version))
            ),
            ready=healthy,
            port=functools.partial(settings.port, "chat"),
            hop=True,
            version=settings.chat_version,
            require=functools.partial(weights.model_file, settings),
        ),
        "embed": Blueprint(
            command=lambda name, port, version: Command(tuple(embed.command(settings, name, port))),
            ready=healthy,
            port=functools.partial(settings.port, "embed"),
            hop=True,
        ),
        "rag": Blueprint(
            command=lambda name, port, version: Command(tuple(rag.command(settings, name, port))),
            ready=healthy,
        ),
        "vectors": Blueprint(
            command=lambda name, port, version: Command(
                tuple(vectors.command(settings)),
                user=vectors.run_as(),
                # A fast shutdown: Postgres ends its sessions itself, and its files stay clean.
                polite=signal.SIGINT,
                grace_s=_POSTGRES_GRACE_S,
            ),
            ready=_postgres_ready(vectors.dsn(settings)),
            scheme="postgresql",
        ),
        "gateway": Blueprint(
            command=lambda name, port, version: Command(tuple(gateway.command(settings))),
            ready=lambda port: admin(settings.envoy_admin_port),
        ),
    }


async def boot(
    settings: LabSettings, fleet: Fleet, processes: Processes, health: Health, clock: Clock
) -> None:
    """Start everything and return when all of it is healthy; raises LabError if it won't be."""
    names = {n: p for component in REPLICATED for n, p in settings.replicas(component).items()}
    gateway.write_config(settings)
    fleet.start("gateway", "gateway", settings.gateway_port)
    for name, port in names.items():
        component = name.partition("-")[0]
        if component != "rag":
            fleet.start(component, name, port)
    waiting = ["gateway", "vectors-1", *names]
    ready: list[str] = []

    async def wait(name: str) -> None:
        await fleet.until_ready(name, _READY_WITHIN_S)
        ready.append(name)
        health.step, health.note = name, f"{name} is healthy"
        health.done = len(ready) / (len(waiting) + 1)

    async def data() -> None:
        await _run_job("prepare-vectors", settings, processes)
        fleet.start("vectors", "vectors-1", settings.vectors_port)
        await wait("vectors-1")
        await _run_job("load-vectors", settings, processes)
        for name, port in settings.replicas("rag").items():
            fleet.start("rag", name, port)
            await wait(name)

    first = [name for name in waiting if not name.startswith(("rag", "vectors"))]
    await asyncio.gather(data(), *(wait(name) for name in first))
    await _until_gateway_agrees(settings, clock)


async def _run_job(name: str, settings: LabSettings, processes: Processes) -> None:
    """Run one step of :mod:`vagus.lab.job` to its end, as a group like any other."""
    log = settings.logs_dir / f"{name}.log"
    group = processes.start(Command(tuple(job.command(settings, name))), log)
    try:
        await asyncio.wait_for(group.exited.wait(), _LOADED_WITHIN_S)
    except TimeoutError as error:
        mend = "is the disk full, or the machine very busy?"
        raise LabError(f"{name} takes too long", where=str(log), mend=mend) from error
    finally:
        await processes.end(group)
    if group.exit_code:
        said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise LabError(f"{name} failed: {said[-1] if said else 'no message'}", where=str(log))


def _postgres_ready(dsn: str) -> ReadyCheck:
    async def ready(port: int) -> bool:
        import psycopg

        with contextlib.suppress(psycopg.OperationalError):
            connection = await psycopg.AsyncConnection.connect(dsn, connect_timeout=2)
            await connection.close()
            return True
        return False

    return ready


async def _until_gateway_agrees(settings: LabSettings, clock: Clock) -> None:
    """Wait until Envoy's own health checks have passed for every host of every cluster."""
    deadline = clock.monotonic() + _READY_WITHIN_S
    async with aiohttp.ClientSession() as session:
        while missing := await _unhealthy_clusters(settings, session):
            if clock.monotonic() > deadline:
                raise LabError(
                    f"the gateway finds no health in {', '.join(missing)}",
                    where=str(settings.logs_dir / "gateway.log"),
                )
            await clock.sleep(_POLL_S)


async def _unhealthy_clusters(settings: LabSettings, session: aiohttp.ClientSession) -> list[str]:
    async with session.get(url(settings.envoy_admin_port) + "/clusters?format=json") as response:
        answer = await response.json(content_type=None)
    hosts = {c["name"]: c.get("host_statuses", []) for c in answer.get("cluster_statuses", [])}
    return [
        name
        for name in _CLUSTERS
        if not hosts.get(name) or not all(_serves(host["health_status"]) for host in hosts[name])
    ]


def _serves(health: Mapping[str, object]) -> bool:
    return health.get("eds_health_status") == "HEALTHY" and not health.get(
        "failed_active_health_check"
    )
