"""Envoy's admin API, as far as we read it: what is in force, and how its endpoints fare.

Envoy leaves out what is zero, false or empty, so a missing number is 0 and a missing flag is False;
a missing *cluster* is one that Envoy does not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import aiohttp

from vagus.adapters import http
from vagus.errors import MalformedData, TargetUnreachable
from vagus.model import Subject
from vagus.topology import Topology

LONGEST_ANSWER = 32 * 2**20  # bytes; an endpoint takes 1.2 KB of /clusters
TIMEOUT = 1.0  # s; the admin answers within 2 ms, and a stuck Envoy takes no updates either

_VERSION = "version_text"
_REFUSALS = ("update_rejected", "update_failure")  # not valid; not even parseable


@dataclass(frozen=True, slots=True)
class Subscription:
    """How a cluster's endpoint document fares: the version in force, and refusals so far."""

    version: str
    refused: int


@dataclass(frozen=True, slots=True)
class Host:
    """One endpoint of one cluster."""

    cluster: str
    authority: str  # host:port
    held_out: bool  # by Envoy's own health checks or outlier detection, whatever it was told
    stats: Mapping[str, float]


class Admin:
    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self._session = session

    async def subscriptions(self, clusters: Collection[str]) -> Mapping[str, Subscription]:
        """Of those ``clusters`` that Envoy has and that have had a document."""
        names = "|".join(re.escape(name) for name in clusters)
        kinds = "|".join((_VERSION, *_REFUSALS))
        params = {"format": "json", "filter": rf"^cluster\.({names})\.({kinds})$"}
        answer = await self._get("/stats", params)
        stats: dict[str, object] = {}
        for row in _rows(answer, "stats", self.address):
            if "name" in row:
                stats[str(row["name"])] = row.get("value", 0)
        return {
            name: Subscription(
                str(stats[f"cluster.{name}.{_VERSION}"]),
                sum(int(_number(stats.get(f"cluster.{name}.{kind}"))) for kind in _REFUSALS),
            )
            for name in clusters
            if f"cluster.{name}.{_VERSION}" in stats
        }

    async def hosts(self) -> list[Host]:
        answer = await self._get("/clusters", {"format": "json"})
        return [
            found
            for cluster in _rows(answer, "cluster_statuses", self.address)
            for row in _rows(cluster, "host_statuses", self.address)
            if (found := _host(str(cluster.get("name", "")), row)) is not None
        ]

    async def _get(self, path: str, params: Mapping[str, str]) -> object:
        """Raises TargetUnreachable or MalformedData."""
        where = f"{self.address}{path}"
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        try:
            async with self._session.get(where, params=params, timeout=timeout) as response:
                if response.status != 200:
                    raise MalformedData(
                        f"answers HTTP {response.status}",
                        where=where,
                        mend="is gateway.envoy.admin the address of Envoy's admin?",
                    )
                return await http.read_json(response, LONGEST_ANSWER)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or f"no answer within {TIMEOUT:g} s"
            raise TargetUnreachable(
                f"Envoy's admin does not answer: {reason}",
                where=where,
                mend="start the gateway, or correct gateway.envoy.admin in vagus.yaml",
            ) from error


def subject_of(host: Host, topology: Topology) -> Subject | None:
    """The replica at ``host``, or None if it isn't one of this cluster's component."""
    subject = topology.subject_at(host.authority)
    return subject if subject is not None and subject.component == host.cluster else None


def held_out(hosts: Iterable[Host], topology: Topology) -> frozenset[Subject]:
    """The replicas that Envoy itself keeps out of traffic."""
    found = (subject_of(host, topology) for host in hosts if host.held_out)
    return frozenset(subject for subject in found if subject is not None)


def _host(cluster: str, row: Mapping[str, object]) -> Host | None:
    socket = _mapping(_mapping(row.get("address")).get("socket_address"))
    if not socket:
        return None  # a pipe, or an endpoint of Envoy's own
    health = _mapping(row.get("health_status"))
    stats = row.get("stats")
    return Host(
        cluster=cluster,
        authority=f"{socket.get('address')}:{socket.get('port_value')}",
        held_out=bool(
            health.get("failed_outlier_check") or health.get("failed_active_health_check")
        ),
        stats={
            str(stat["name"]): _number(stat.get("value"))
            for stat in (stats if isinstance(stats, list) else [])
            if isinstance(stat, dict) and "name" in stat
        },
    )


def _rows(answer: object, key: str, where: str) -> list[Mapping[str, object]]:
    rows = answer.get(key, []) if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedData(
            f"answers JSON without a list {key!r}",
            where=where,
            mend="is gateway.envoy.admin the address of Envoy's admin?",
        )
    return rows


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float:
    """Envoy writes 64-bit numbers as strings."""
    try:
        return float(value) if isinstance(value, str | int | float) else 0.0
    except ValueError:
        return 0.0


TopologyNow = Callable[[], Topology]
"""The stack as it stands now: replicas come and go."""
