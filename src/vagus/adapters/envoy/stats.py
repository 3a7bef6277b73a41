"""EnvoyStatsSource: what Envoy counts of each endpoint, and whom it keeps out of traffic by itself.

The access log says what became of requests that reached a replica; the counters also say what never
got so far (connections that failed) and what is under way now. Envoy's own ejections are no
evidence of ours but a fact of capacity: the floor counts them, so the latest set is kept here.
"""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

from vagus.adapters.envoy.admin import Admin, Host, TopologyNow, held_out, subject_of
from vagus.clock import Clock
from vagus.config import EnvoySettings
from vagus.errors import SourceError
from vagus.model import Scrape, Sense, Subject
from vagus.ports import Emit

SIGNALS = {
    "rq_active": "vagus.gateway.requests.active",
    "rq_total": "vagus.gateway.requests",
    "rq_error": "vagus.gateway.requests.failed",
    "cx_connect_fail": "vagus.gateway.connect_failures",
}
"""Envoy's names of what it counts per endpoint, and the canonical ones."""


class EnvoyStatsSource:
    """Implements :class:`~vagus.ports.Source` over Envoy's admin."""

    name = "envoy-stats"

    def __init__(
        self,
        settings: EnvoySettings,
        session: aiohttp.ClientSession,
        clock: Clock,
        topology: TopologyNow,
        on_silence: Callable[[str, str], None],
        *,
        interval: float,
    ) -> None:
        self._admin = Admin(settings.admin, session)
        self._clock = clock
        self._topology = topology
        self._on_silence = on_silence  # where, and why: whoever counts what could not be had
        self._interval = interval
        self.ejected: frozenset[Subject] = frozenset()  # as of the last time that Envoy answered

    async def run(self, emit: Emit) -> None:
        while True:
            began = self._clock.monotonic()
            try:
                hosts = await self._admin.hosts()
            except SourceError as error:
                self._on_silence(error.where, error.message)
            else:
                self._take(hosts, emit)
            spent = self._clock.monotonic() - began
            await self._clock.sleep(max(0.0, self._interval - spent))

    def _take(self, hosts: list[Host], emit: Emit) -> None:
        topology, now = self._topology(), self._clock.now()
        self.ejected = held_out(hosts, topology)
        known = ((subject_of(host, topology), host.stats) for host in hosts)
        scrapes = [
            Scrape(
                subject,
                now,
                values={SIGNALS[name]: value for name, value in stats.items() if name in SIGNALS},
                sense=Sense.GATEWAY,
            )
            for subject, stats in known
            if subject is not None
        ]
        if scrapes:
            emit(scrapes)
