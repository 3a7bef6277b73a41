"""Which adapters stand behind which port, chosen from the settings.

Beside ``app.py`` this is the only place that knows adapters by name.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import structlog

from vagus import __version__
from vagus.adapters.envoy.access_log import decoder
from vagus.adapters.envoy.gateway import EnvoyGateway
from vagus.adapters.envoy.stats import EnvoyStatsSource
from vagus.adapters.http import open_session
from vagus.adapters.openai.chat import ChatProber
from vagus.adapters.openai.embeddings import EmbeddingsProber, TextEmbedder
from vagus.adapters.openai.exchange import Exchanges
from vagus.adapters.openai.health import HealthProber
from vagus.adapters.otlp.export import OtlpExport, headers_of
from vagus.adapters.postgres.connection import dsn_from
from vagus.adapters.postgres.index import PgvectorKeeper
from vagus.adapters.postgres.search import PgvectorProbe
from vagus.adapters.process.supervisor import ProcessRuntime
from vagus.clock import Clock, SystemClock
from vagus.config import EnvoySettings, Kind, Settings
from vagus.detection.normal import teach
from vagus.errors import ConfigError, TargetUnreachable
from vagus.golden import GoldenFile
from vagus.model import Query, Subject
from vagus.model.series import Column
from vagus.model.trace import Attribute
from vagus.ports import Gateway, IndexKeeper, Prober, Runtime, Source
from vagus.telemetry.access_log import AccessLogSource
from vagus.telemetry.backfill import Backfill, Learned, Progress
from vagus.telemetry.golden import GoldenQueries
from vagus.telemetry.history import recorded
from vagus.telemetry.probing import ProbeSource
from vagus.telemetry.receivers import PushSource, listen
from vagus.telemetry.rejections import Rejected, Rejections
from vagus.telemetry.retrieving import RetrievalSource
from vagus.telemetry.scrape import ScrapeSource
from vagus.topology import Topology

log = structlog.get_logger()

PGVECTOR = "pgvector"
TRIED_FOR_EACH = 40  # documents for one golden query, at most


@dataclass(frozen=True)
class Sessions:
    """HTTP connections: ``kept`` open between requests, for what is read every second; ``fresh``
    ones for probes and orders, where a connection that outlived its server would tell a lie."""

    kept: aiohttp.ClientSession
    fresh: aiohttp.ClientSession


@asynccontextmanager
async def open_sessions() -> AsyncIterator[Sessions]:
    kept = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    )
    async with kept, open_session() as fresh:
        yield Sessions(kept, fresh)


@dataclass(frozen=True)
class Outside:
    """Everything that reaches the stack."""

    sources: tuple[Source, ...]
    gateway: Gateway | None
    routes: Callable[[str], bool]
    ejected: Callable[[], frozenset[Subject]]  # whom the data plane itself keeps out of traffic
    runtimes: Mapping[str, Runtime]
    keepers: Mapping[str, IndexKeeper]  # of the indexes of a store, by component
    close: Callable[[], Awaitable[None]]


def choose(
    settings: Settings,
    sessions: Sessions,
    clock: Clock,
    topology: Callable[[], Topology],
    attention: Callable[[], frozenset[Subject]],
    rejections: Rejections,
    focus: Callable[[Subject], str | None],
) -> Outside:
    """The adapters that ``settings`` ask for. Raises ConfigError for what can't be there."""
    telemetry = settings.telemetry
    sources: list[Source] = [
        ScrapeSource(
            topology,
            sessions.kept,
            clock,
            rejections,
            interval=telemetry.interval,
            timeout=telemetry.timeout,
        ),
        ProbeSource(
            _probers(sessions.fresh, clock, topology, telemetry.probe_timeout),
            topology,
            attention,
            clock,
            rejections,
            interval=telemetry.probe_interval,
            interval_suspect=telemetry.probe_interval_suspect,
        ),
    ]
    if telemetry.otlp_port is not None:
        sources.append(PushSource(listen(telemetry.otlp_port), topology, clock, rejections))
    gateway: EnvoyGateway | None = None
    stats: EnvoyStatsSource | None = None
    if settings.gateway is not None:
        envoy = settings.gateway.envoy
        _require_folder(envoy)
        gateway = EnvoyGateway(envoy, sessions.kept, clock, topology)
        stats = EnvoyStatsSource(
            envoy,
            sessions.kept,
            clock,
            topology,
            partial(rejections.count, Rejected.GATEWAY_SILENT),
            interval=telemetry.interval,
        )
        sources.append(stats)
        if envoy.access_log is not None:
            decode = decoder(topology)
            sources.append(AccessLogSource(envoy.access_log, decode, clock, rejections))
    stores = _stores(settings, clock)
    if stores:
        judged = settings.retrieval
        embedder = _embedder(sessions.fresh, clock, topology, telemetry.probe_timeout)
        golden = GoldenQueries(
            GoldenFile(judged.golden).of,
            {
                name: (component.embedded_by, embedder)
                for name, component in settings.stack.items()
                if component.embedded_by is not None
            },
        )
        sources.append(
            RetrievalSource(
                {name: probe for name, (probe, _) in stores.items()},
                topology,
                attention,
                focus,
                golden.next,
                clock,
                rejections,
                k=judged.k,
                interval=judged.interval,
                interval_suspect=judged.interval_suspect,
            )
        )

    async def close() -> None:
        for probe, keeper in stores.values():
            await probe.close()
            await keeper.close()

    return Outside(
        sources=tuple(sources),
        gateway=gateway,
        routes=gateway.routes if gateway is not None else lambda component: False,
        ejected=lambda: stats.ejected if stats is not None else frozenset(),
        runtimes={
            name: ProcessRuntime(component.runtime.process, sessions.fresh)
            for name, component in settings.stack.items()
            if component.runtime is not None
        },
        keepers={name: keeper for name, (_, keeper) in stores.items()},
        close=close,
    )


def _stores(settings: Settings, clock: Clock) -> dict[str, tuple[PgvectorProbe, PgvectorKeeper]]:
    """The vector stores that can be searched: a store whose variable is not set is not, and a line
    in the log says so."""
    found = {}
    for name, component in settings.stack.items():
        if component.engine != PGVECTOR or not component.collections:
            continue
        dsn = dsn_from(component.dsn_env, name)
        if dsn is None:
            log.warning("retrieval.not_judged", component=name, variable=component.dsn_env)
            continue
        probe = PgvectorProbe(dsn, clock, timeout=settings.retrieval.timeout)
        found[name] = (probe, PgvectorKeeper(dsn))
    return found


def _probers(
    session: aiohttp.ClientSession,
    clock: Clock,
    topology: Callable[[], Topology],
    deadline: float,
) -> Mapping[Kind, Prober]:
    exchanges = Exchanges(session, lambda subject: topology().address(subject), clock, deadline)

    def model(subject: Subject) -> str | None:
        node = topology().components.get(subject.component)
        return node.model if node is not None else None

    health = HealthProber(exchanges)
    return {
        Kind.MODEL_SERVER: ChatProber(exchanges, model),
        Kind.EMBEDDING_SERVER: EmbeddingsProber(exchanges, model),
        Kind.PIPELINE: health,
    }


def _embedder(
    session: aiohttp.ClientSession,
    clock: Clock,
    topology: Callable[[], Topology],
    deadline: float,
) -> TextEmbedder:
    exchanges = Exchanges(session, lambda subject: topology().address(subject), clock, deadline)

    def model(subject: Subject) -> str | None:
        node = topology().components.get(subject.component)
        return node.model if node is not None else None

    def replicas(component: str) -> Sequence[Subject]:
        return [subject for subject in topology().replicas() if subject.component == component]

    return TextEmbedder(exchanges, model, replicas)


async def suggest_golden(
    settings: Settings, subject: Subject, count: int
) -> list[tuple[str, tuple[str, ...]]]:
    """Up to ``count`` questions made from documents of a collection, each with the document that it
    must find: those that an exact search answers now. Raises VagusError."""
    clock, component = SystemClock(), settings.stack[subject.component]
    stores = _stores(settings, clock)
    if subject.component not in stores or component.embedded_by is None:
        raise ConfigError(
            f"{subject} can't be searched",
            mend=f"set the variable {component.dsn_env}, and name who embeds its queries",
        )
    topology, found = Topology.declared(settings), list[tuple[str, tuple[str, ...]]]()
    probe, _ = stores[subject.component]
    try:
        async with open_sessions() as sessions:
            deadline = settings.telemetry.probe_timeout
            embedder = _embedder(sessions.fresh, clock, lambda: topology, deadline)
            documents = await probe.documents(subject, TRIED_FOR_EACH * count)
            for text, key in {d.text: d.id for d in documents if d.text}.items():
                vector = await embedder.embed(component.embedded_by, text)
                if vector is None:
                    raise TargetUnreachable("it does not embed", where=component.embedded_by)
                query = Query(text, vector, expected=(key,))
                if (await probe.search(subject, query, settings.retrieval.k)).golden:
                    found.append((text, (key,)))
                if len(found) == count:
                    break
    finally:
        await probe.close()
    return found


def _require_folder(envoy: EnvoySettings) -> None:
    if not envoy.dir.is_dir():
        raise ConfigError(
            "there is no such folder",
            where=str(envoy.dir),
            mend="start the gateway first, or correct gateway.envoy.dir",
        )


def collector(settings: Settings, session: aiohttp.ClientSession) -> OtlpExport | None:
    """Where Vagus's own telemetry goes, if anywhere. Raises ConfigError for headers that are
    none."""
    export = settings.telemetry.export
    if export is None:
        return None
    try:
        headers = headers_of(os.environ.get(export.headers_env, ""))
    except ValueError as error:
        raise ConfigError(str(error), where=f"environment variable {export.headers_env}") from error
    resource: dict[str, Attribute] = {
        "service.name": "vagus",
        "service.version": __version__,
        "service.instance.id": socket.gethostname(),
        "deployment.environment.name": settings.policy.environment,
    }
    return OtlpExport(export.otlp, session, resource, headers=headers, timeout=export.timeout)


async def learn(
    settings: Settings, url: str, folder: Path, *, days: float, step: float, progress: Progress
) -> tuple[Learned, int]:
    """Fetch the past of the stack as declared from a Prometheus into ``folder``, and learn from it
    what is normal; of how many series that is known now."""
    topology = Topology.declared(settings)
    async with open_sessions() as sessions:
        backfill = Backfill(url, folder, topology, sessions.kept, SystemClock(), step=step)
        learned = await backfill.run(days, progress)
    past = (record for record in recorded(folder) if isinstance(record, Column))
    return learned, teach(settings, topology, past, step, folder)
