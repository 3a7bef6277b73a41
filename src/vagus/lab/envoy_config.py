"""Envoy's documents, rendered: a gateway as a value goes in, JSON comes out.

Envoy is steered by files, so its whole configuration is a pure function, and it is kept apart from
the process that reads it: tests look at documents, and a benchmark that wants another gateway
(other replicas, other ports, no protection at all) describes it instead of writing JSON. What is
behind the gateway is in :mod:`vagus.lab.envoy_clusters`; here are its front and its record.

The access log is the *router's*: one row for each attempt and host, with rows while a stream lasts.
The connection manager's log has one row a request, and hides every failure that a retry mended.

Names are those of Envoy's API, version 3 (envoy.config.bootstrap.v3.Bootstrap and what it names).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vagus.lab.envoy_clusters import (
    CONFIG_TYPE,
    ENDPOINTS_FILE,
    EXTENSION_TYPE,
    Document,
    HttpCluster,
    TcpCluster,
    address,
    http_cluster,
    response,
    routes,
    seeded_endpoints,
    tcp_cluster,
    watched,
)

_ROUTES = "edge"


@dataclass(frozen=True)
class Edge:
    """One Envoy: its folder, its ports and what is behind it."""

    folder: Path
    port: int
    admin_port: int
    http: tuple[HttpCluster, ...]
    tcp: tuple[TcpCluster, ...] = ()

    @property
    def bootstrap(self) -> Path:
        return self.folder / "bootstrap.json"

    @property
    def access_log(self) -> Path:
        return self.folder / "access.jsonl"


ACCESS_LOG_ROW: Mapping[str, str] = {
    "t": "%START_TIME(%s.%6f)%",
    "type": "%ACCESS_LOG_TYPE%",
    "id": "%REQ(X-REQUEST-ID)%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "host": "%UPSTREAM_HOST%",
    "attempt": "%REQ(X-ENVOY-ATTEMPT-COUNT)%",
    "cohort": "%REQ(X-USER-CLUSTER)%",
    "path": "%REQ(:PATH)%",
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "details": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "ttft_us": "%COMMON_DURATION(US_TX_END:US_RX_BODY_BEG:us)%",
    "stream_us": "%COMMON_DURATION(US_RX_BODY_BEG:US_RX_END:us)%",
    "duration_ms": "%DURATION%",
    "bytes": "%UPSTREAM_WIRE_BYTES_RECEIVED%",
    "content_type": "%RESP(CONTENT-TYPE)%",
}
"""The access log: one JSON object a line. ``docs/reference/access-log.md`` says what is in it."""


def documents(edge: Edge) -> dict[str, Document]:
    """Every file of ``edge`` by its name; the endpoint files hold all replicas, healthy."""
    files = {
        "bootstrap.json": _bootstrap(edge),
        "lds.json": response([_http_listener(edge), *map(_tcp_listener, edge.tcp)]),
        "cds.json": response(
            [*(http_cluster(edge.folder, c) for c in edge.http), *map(tcp_cluster, edge.tcp)]
        ),
        "rds.json": response([routes(_ROUTES, edge.http)]),
        "rtds.json": response([_runtime()]),
    }
    return files | {ENDPOINTS_FILE.format(c.name): seeded_endpoints(c) for c in edge.http}


def _bootstrap(edge: Edge) -> Document:
    runtime = {"name": "rtds", "rtds_config": watched(edge.folder / "rtds.json")}
    layers = [{"name": "rtds", "rtds_layer": runtime}, {"name": "admin", "admin_layer": {}}]
    return {
        "node": {"id": "edge-1", "cluster": "ai-edge"},
        "admin": {"address": address(edge.admin_port)},
        "layered_runtime": {"layers": layers},
        "dynamic_resources": {
            "lds_config": watched(edge.folder / "lds.json"),
            "cds_config": watched(edge.folder / "cds.json"),
        },
    }


def _runtime() -> Document:
    return {"@type": "type.googleapis.com/envoy.service.runtime.v3.Runtime", "name": "rtds"}


# Listeners


def _http_listener(edge: Edge) -> Document:
    filters = f"{EXTENSION_TYPE}.filters.network"
    manager = {
        "@type": f"{filters}.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        # Callers are outsiders: their x-envoy-* headers are dropped and every request gets an id
        # of its own, so that (id, attempt) names one attempt.
        "use_remote_address": True,
        "always_set_request_id_in_response": True,
        "stream_idle_timeout": "0s",  # silence is bounded per attempt
        "server_header_transformation": "PASS_THROUGH",
        "rds": {"route_config_name": _ROUTES, "config_source": watched(edge.folder / "rds.json")},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": _router(edge)}],
    }
    return {
        "@type": f"{CONFIG_TYPE}.listener.v3.Listener",
        "name": "edge",
        "address": address(edge.port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _router(edge: Edge) -> Document:
    log = {
        "@type": f"{EXTENSION_TYPE}.access_loggers.file.v3.FileAccessLog",
        "path": str(edge.access_log),
        "log_format": {"json_format": dict(ACCESS_LOG_ROW), "omit_empty_values": False},
    }
    return {
        "@type": f"{EXTENSION_TYPE}.filters.http.router.v3.Router",
        "upstream_log": [{"name": "file", "typed_config": log}],
        "upstream_log_options": {
            "flush_upstream_log_on_upstream_stream": True,
            "upstream_log_flush_interval": "1s",
        },
    }


def _tcp_listener(cluster: TcpCluster) -> Document:
    proxy = {
        "@type": f"{EXTENSION_TYPE}.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": cluster.name,
        "cluster": cluster.name,
    }
    return {
        "@type": f"{CONFIG_TYPE}.listener.v3.Listener",
        "name": cluster.name,
        "address": address(cluster.listen_port),
        "filter_chains": [{"filters": [{"name": "tcp", "typed_config": proxy}]}],
    }
