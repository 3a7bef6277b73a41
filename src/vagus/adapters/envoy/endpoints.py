"""From desired traffic to Envoy's endpoint document (EDS), as a pure function.

One file holds one cluster, and the cluster bears the component's name. The document's version is
the operation that asked for it: Envoy repeats it in its stats once the document is in force, which
is how an acknowledgement is had from a control plane that consists of files.

Envoy knows an endpoint by its address only. The replica's name, which is its identity for us, goes
along as metadata, so that whoever reads Envoy's configuration can tell who is who.

See envoy.config.endpoint.v3.ClusterLoadAssignment and envoy.service.discovery.v3.DiscoveryResponse.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from vagus.errors import ActionError
from vagus.model import Endpoint

FULL_WEIGHT = 100  # of a replica with all of its normal traffic
NO_SPILL = 1000  # 10 times: a component counts as able to serve until 9 of 10 replicas are out
"""With Envoy's default of 140 (1.4 times) traffic spills to the next priority, and to endpoints
that are degraded, as soon as fewer than 72 % are healthy: with three replicas, at the first
ejection."""

_HEALTH = {"healthy": "HEALTHY", "draining": "DRAINING", "unhealthy": "UNHEALTHY"}
_ASSIGNMENT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"


def file_name(component: str) -> str:
    return f"eds_{component}.json"


def render(component: str, endpoints: Iterable[Endpoint], version: str) -> str:
    """The document for the cluster ``component``, as JSON.

    Raises ActionError for an address that is not an IP address: Envoy refuses the whole document
    over one such endpoint.
    """
    document = {
        "version_info": version,
        "resources": [
            {
                "@type": _ASSIGNMENT,
                "cluster_name": component,
                "endpoints": [{"lb_endpoints": [_endpoint(component, e) for e in endpoints]}],
                "policy": {"overprovisioning_factor": NO_SPILL},
            }
        ],
    }
    return json.dumps(document, indent=1)


def version_of(document: str) -> str | None:
    """The operation that wrote ``document``, or None if it is not one of ours to read."""
    try:
        read = json.loads(document)
    except ValueError:
        return None
    version = read.get("version_info") if isinstance(read, dict) else None
    return version if isinstance(version, str) else None


def _endpoint(component: str, endpoint: Endpoint) -> dict[str, object]:
    try:
        parts = urlsplit(endpoint.address)
        host = str(ipaddress.ip_address(parts.hostname or ""))
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise ActionError(
            f"Envoy takes IP addresses only, and {endpoint.replica} is at {endpoint.address}",
            where=f"stack.{component}.replicas.{endpoint.replica}",
            mend="write it as http://IP:PORT in vagus.yaml",
        ) from error
    return {
        "endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}},
        "health_status": _HEALTH[endpoint.health],
        "load_balancing_weight": max(1, round(endpoint.share * FULL_WEIGHT)),
        "metadata": {"filter_metadata": {"vagus": {"replica": endpoint.replica}}},
    }
