"""Prometheus and Alertmanager with a webhook that ejects: what many would build first.

Prometheus scrapes the replicas and evaluates two alerts, Alertmanager tells our webhook, and the
webhook takes the replica out of Envoy's endpoints at once. It stands on Envoy's defaults, so that
what is seen is its own reaction. Two configurations: the defaults of both programs, and everything
that has an interval set to one second.

In its favour: the alerts have no ``for``, and the webhook only ejects. Letting a replica return
would need somebody who verifies that it is well, which these programs do not do.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import yaml
from aiohttp import web

from benchmarks.reaction.rig import COMPONENT, Rig
from benchmarks.reaction.systems import on_path
from vagus.lab.envoy_clusters import Protection
from vagus.lab.settings import HOST, url

_PROMETHEUS, _ALERTMANAGER = "prometheus", "prometheus-alertmanager"
_SLOW_FACTOR = 3


@dataclass(frozen=True)
class Intervals:
    """How often they look, and how long they wait before they tell."""

    scrape: str
    evaluate: str
    window: str  # of rates: four scrapes, as Prometheus's own advice goes
    group_wait: str
    group_interval: str


DEFAULTS = Intervals("1m", "1m", "4m", "30s", "5m")
TUNED = Intervals("1s", "1s", "4s", "0s", "1s")


class AlertmanagerWebhook:
    """Envoy's defaults, with Prometheus, Alertmanager and a webhook beside it."""

    protection = Protection.DEFAULT
    faults = ("kill", "slow")

    def __init__(self, key: str, name: str, intervals: Intervals) -> None:
        self.key = key
        self.name = name
        self._intervals = intervals
        self._webhook: web.AppRunner | None = None
        self._running: list[tuple[Rig, asyncio.subprocess.Process]] = []

    def missing(self) -> str:
        absent = [program for program in (_PROMETHEUS, _ALERTMANAGER) if not on_path(program)]
        if not absent:
            return ""
        return (
            f"{' and '.join(absent)} not found; on Debian: apt-get install "
            "--no-install-recommends prometheus prometheus-alertmanager"
        )

    async def start(self, rig: Rig) -> None:
        prometheus, alertmanager, webhook = (rig.ports.spare(n) for n in (1, 2, 3))
        self._webhook = await _listen(webhook, rig)
        folder = rig.folder
        documents = {
            "prometheus.yml": _prometheus(self._intervals, rig, alertmanager),
            "rules.yml": _rules(self._intervals.window),
            "alertmanager.yml": _alertmanager(self._intervals, webhook),
        }
        for name, document in documents.items():
            (folder / name).write_text(yaml.safe_dump(document), encoding="utf-8")
        commands = {
            _ALERTMANAGER: (
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address={HOST}:{alertmanager}",
                "--cluster.listen-address=",
            ),
            _PROMETHEUS: (
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address={HOST}:{prometheus}",
            ),
        }
        for program, arguments in commands.items():
            self._running.append((rig, await rig.spawn(program, [program, *arguments])))
        await rig.until_answers(_ALERTMANAGER, url(alertmanager) + "/-/ready")
        await rig.until_answers(_PROMETHEUS, url(prometheus) + "/-/ready")

    async def stop(self) -> None:
        while self._running:
            rig, process = self._running.pop()
            await rig.end(process)
        if self._webhook is not None:
            await self._webhook.cleanup()
            self._webhook = None


async def _listen(port: int, rig: Rig) -> web.AppRunner:
    """The webhook: ejects the replica of every alert that fires."""

    async def alerted(request: web.Request) -> web.Response:
        told = await request.json()
        for alert in told["alerts"]:
            if alert["status"] == "firing":
                rig.eject(alert["labels"]["replica"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/", alerted)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    return runner


def _prometheus(intervals: Intervals, rig: Rig, alertmanager: int) -> dict[str, object]:
    targets = [
        {"targets": [f"{HOST}:{port}"], "labels": {"replica": name}}
        for name, port in rig.ports.replicas.items()
    ]
    return {
        "global": {
            "scrape_interval": intervals.scrape,
            "scrape_timeout": min(intervals.scrape, "10s", key=_seconds),
            "evaluation_interval": intervals.evaluate,
        },
        "rule_files": ["rules.yml"],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"{HOST}:{alertmanager}"]}]}]
        },
        "scrape_configs": [{"job_name": COMPONENT, "static_configs": targets}],
    }


def _seconds(interval: str) -> int:
    return int(interval[:-1]) * {"s": 1, "m": 60}[interval[-1]]


def _rules(window: str) -> dict[str, object]:
    """A replica that can't be scraped; one whose tokens take three times as long as its peers'."""
    seconds = f"rate(llamacpp:tokens_predicted_seconds_total[{window}])"
    per_token = f"{seconds} / rate(llamacpp:tokens_predicted_total[{window}])"
    slow = f"{per_token} > {_SLOW_FACTOR} * scalar(quantile(0.5, {per_token}))"
    rules = [{"alert": "Gone", "expr": "up == 0"}, {"alert": "Slow", "expr": slow}]
    return {"groups": [{"name": "replicas", "rules": rules}]}


def _alertmanager(intervals: Intervals, webhook: int) -> dict[str, object]:
    route = {
        "receiver": "webhook",
        "group_by": ["alertname", "replica"],
        "group_wait": intervals.group_wait,
        "group_interval": intervals.group_interval,
    }
    receiver = {"name": "webhook", "webhook_configs": [{"url": url(webhook)}]}
    return {"route": route, "receivers": [receiver]}
