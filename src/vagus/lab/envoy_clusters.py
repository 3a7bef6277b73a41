"""Clusters of the gateway: their replicas, the routes to them, and how they are guarded.

Two ways of protecting a cluster matter here, because they are what people run:

- ``DEFAULT``: the one line ``outlier_detection: {}`` that most guides stop at. Of three replicas it
  ejects none, since the default ceiling of 10 % is less than one of them.
- ``TUNED``: what an experienced operator makes of Envoy alone: outlier detection that may eject one
  replica in three, active health checks, retries on another host under a budget, no panic routing.

The values below have reasons that are not visible in them:

- the panic threshold is 0, since with the default of 50 % two sick replicas of three bring the
  traffic back to all three. A floor of capacity is for the control plane to keep.
- routes have no timeout, since the default of 15 s cuts long answers. What bounds an attempt is
  *silence*, and per try: a route's idle timeout answers 504, a try's goes to another replica.
- retries have a budget, since the default circuit breaker lets just three happen at a time.
- a replica that leaves the endpoint file leaves at once: by default Envoy keeps a removed endpoint
  for as long as its health checks pass.

See envoy.config.cluster.v3.Cluster, envoy.config.route.v3.RouteAction and
envoy.config.endpoint.v3.ClusterLoadAssignment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

Document = dict[str, object]

LOOPBACK = "127.0.0.1"
FULL_WEIGHT = 100
ENDPOINTS_FILE = "eds_{}.json"
"""The file that holds the endpoints of one cluster."""

CONFIG_TYPE = "type.googleapis.com/envoy.config"
EXTENSION_TYPE = "type.googleapis.com/envoy.extensions"
_UPSTREAM_IDLE = "60s"  # shorter than our servers keep a connection, so none is reused too late


class Protection(Enum):
    """How a cluster is guarded against its own replicas."""

    DEFAULT = "default"
    TUNED = "tuned"


@dataclass(frozen=True)
class HttpCluster:
    """Replicas (by name, with their loopback port) that answer for some paths.

    Their endpoints are read from a file of their own, so that somebody can steer them.
    """

    name: str
    replicas: Mapping[str, int]
    paths: tuple[str, ...]
    protection: Protection = Protection.TUNED
    health_path: str = "/health"
    health_timeout_s: float = 0.5
    health_ends_ejection: bool = True
    """Whether a passed health check lets a replica back that outlier detection has ejected: Envoy's
    default, and right where somebody else decides. Where Envoy stands alone it undoes the ejection
    within a second, for every fault that a health check doesn't see."""
    silence_s: float = 10.0
    """An attempt that moves no byte for so long is given up; before its first byte it is retried.
    Longer than the longest wait for a first token, or a busy server is taken for a dead one."""


@dataclass(frozen=True)
class TcpCluster:
    """One server behind a port of the gateway; its bytes mean nothing to Envoy."""

    name: str
    port: int
    listen_port: int


def response(resources: Iterable[Document], version: str = "seed") -> Document:
    """A discovery response, which is what each watched file holds."""
    return {"version_info": version, "resources": list(resources)}


def watched(path: Path) -> Document:
    """Where Envoy reads resources from, again at each rename."""
    return {"resource_api_version": "V3", "path_config_source": {"path": str(path)}}


def address(port: int) -> Document:
    """A loopback socket."""
    return {"socket_address": {"address": LOOPBACK, "port_value": port}}


def seeded_endpoints(cluster: HttpCluster) -> Document:
    """The endpoint document before anybody steers: every replica healthy, with full weight."""
    endpoints = [_endpoint(port, name) for name, port in cluster.replicas.items()]
    kind = f"{CONFIG_TYPE}.endpoint.v3.ClusterLoadAssignment"
    return response([{"@type": kind, **_assignment(cluster.name, endpoints)}])


# Routes


def routes(name: str, clusters: Iterable[HttpCluster]) -> Document:
    """The route configuration ``name``: each cluster's paths lead to it, others nowhere."""
    host = {
        "name": "all",
        "domains": ["*"],
        # As a request header, since the access log of the router can tell attempts by it only.
        "include_request_attempt_count": True,
        "routes": [
            {"match": {"path": path}, "route": _route(cluster)}
            for cluster in clusters
            for path in cluster.paths
        ],
    }
    return {
        "@type": f"{CONFIG_TYPE}.route.v3.RouteConfiguration",
        "name": name,
        "virtual_hosts": [host],
    }


def _route(cluster: HttpCluster) -> Document:
    if cluster.protection is Protection.DEFAULT:
        return {"cluster": cluster.name}
    return {
        "cluster": cluster.name,
        "timeout": "0s",
        "retry_policy": {
            "per_try_idle_timeout": f"{cluster.silence_s:g}s",
            "retry_on": "connect-failure,refused-stream,reset,gateway-error,5xx",
            "num_retries": 2,
            "retry_host_predicate": [_other_host()],
            "host_selection_retry_max_attempts": 5,
            "retry_back_off": {"base_interval": "0.005s", "max_interval": "0.05s"},
        },
    }


def _other_host() -> Document:
    kind = f"{EXTENSION_TYPE}.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {"@type": kind},
    }


# Clusters and endpoints


def http_cluster(folder: Path, cluster: HttpCluster) -> Document:
    """A cluster whose endpoints come from a file of its own in ``folder``."""
    source = watched(folder / ENDPOINTS_FILE.format(cluster.name))
    document: Document = {
        "@type": f"{CONFIG_TYPE}.cluster.v3.Cluster",
        "name": cluster.name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": source},
        "connect_timeout": "0.5s",
        "outlier_detection": {},
        "track_cluster_stats": {"per_endpoint_stats": True},
        "ignore_health_on_host_removal": True,
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{EXTENSION_TYPE}.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": _UPSTREAM_IDLE},
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }
    if cluster.protection is Protection.TUNED:
        document |= _tuned(cluster)
    return document


def _tuned(cluster: HttpCluster) -> Document:
    retries = {"budget_percent": {"value": 50}, "min_retry_concurrency": 20}
    return {
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"},
        "circuit_breakers": {"thresholds": [{"retry_budget": retries}]},
        "outlier_detection": {
            "interval": "1s",
            "base_ejection_time": "15s",
            "max_ejection_percent": 50,
            "consecutive_5xx": 3,
            "consecutive_gateway_failure": 3,
            "enforcing_consecutive_gateway_failure": 100,
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 3,
            "enforcing_consecutive_local_origin_failure": 100,
            "failure_percentage_threshold": 30,
            "failure_percentage_minimum_hosts": 3,
            "failure_percentage_request_volume": 10,
            "enforcing_failure_percentage": 100,
            "enforcing_failure_percentage_local_origin": 100,
            "successful_active_health_check_uneject_host": cluster.health_ends_ejection,
        },
        "health_checks": [
            {
                "interval": "1s",
                "no_traffic_interval": "1s",  # 60 s by default: an idle replica would stay sick
                "timeout": f"{cluster.health_timeout_s:g}s",
                "unhealthy_threshold": 2,
                "healthy_threshold": 2,
                "http_health_check": {"path": cluster.health_path},
            }
        ],
    }


def tcp_cluster(cluster: TcpCluster) -> Document:
    """A cluster of one fixed endpoint."""
    return {
        "@type": f"{CONFIG_TYPE}.cluster.v3.Cluster",
        "name": cluster.name,
        "type": "STATIC",
        "connect_timeout": "0.5s",
        "load_assignment": _assignment(cluster.name, [_endpoint(cluster.port)]),
    }


def _assignment(cluster: str, endpoints: list[Document]) -> Document:
    return {
        "cluster_name": cluster,
        "endpoints": [{"lb_endpoints": endpoints}],
        # With the default (1.4 times) traffic spills over to endpoints that are degraded as soon as
        # fewer than 72 % are healthy: with three replicas, at the first ejection.
        "policy": {"overprovisioning_factor": 1000},
    }


def _endpoint(port: int, replica: str = "") -> Document:
    document: Document = {
        "endpoint": {"address": address(port)},
        "health_status": "HEALTHY",
        "load_balancing_weight": FULL_WEIGHT,
    }
    if replica:
        document["metadata"] = {"filter_metadata": {"vagus": {"replica": replica}}}
    return document
