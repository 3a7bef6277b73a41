"""What Vagus itself costs while it watches: CPU time and memory of ``vagus run``.

It watches the lab (six replicas, Envoy, its access log) on a grid of 1 s with a little load, as a
process of its own, and is asked for nothing. CPU time is what the operating system accounts to it
and to its threads, over a minute after a start that is not counted; memory is its resident set at
the end. The peer is Prometheus, scraping the same replicas every second, where it is installed.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.report import Options, Result, Row
from vagus.clock import SystemClock
from vagus.demo.feed import VagusProcess
from vagus.lab.load import on_lab
from vagus.lab.settings import LabSettings
from vagus.lab.stack import Lab

SETTINGS = LabSettings(offset=14_000)
RATE = 0.5  # questions a second
WARM_S, QUICK_WARM_S = 15.0, 5.0
MEASURED_S, QUICK_MEASURED_S = 60.0, 15.0
MB = 1e6

COLUMNS = {"system": "system", "cpu_share": "share of one core", "rss_mb": "resident MB"}


@dataclass(frozen=True)
class _Cost:
    cpu_share: float
    rss_mb: float


def run(options: Options) -> Result:
    """Raises VagusError if the lab can't be set up or started."""
    return asyncio.run(_run(options))


async def _run(options: Options) -> Result:
    notes: list[str] = []
    async with AsyncExitStack() as stack:
        lab = await stack.enter_async_context(Lab(SETTINGS))
        loading = asyncio.create_task(on_lab(SETTINGS, RATE).run())
        stack.callback(loading.cancel)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        costs = {}
        async with _vagus(lab, folder) as process:
            costs["Vagus"] = await _cost(process, options)
        if shutil.which("prometheus"):
            async with _prometheus(lab, folder) as process:
                costs["Prometheus, scraping alone"] = await _cost(process, options)
        else:
            notes.append("Prometheus is left out: apt-get install prometheus")
    rows: list[Row] = [
        {"system": name, "cpu_share": round(cost.cpu_share, 4), "rss_mb": round(cost.rss_mb, 1)}
        for name, cost in costs.items()
    ]
    ours = costs["Vagus"]
    figures = {"vagus_cpu_share": ours.cpu_share, "vagus_rss_mb": ours.rss_mb}
    return Result("overhead", COLUMNS, rows, figures, notes)


async def _cost(process: psutil.Process, options: Options) -> _Cost:
    clock = SystemClock()
    await clock.sleep(QUICK_WARM_S if options.quick else WARM_S)
    began, before = clock.monotonic(), sum(process.cpu_times()[:2])
    await clock.sleep(QUICK_MEASURED_S if options.quick else MEASURED_S)
    spent = sum(process.cpu_times()[:2]) - before
    return _Cost(spent / (clock.monotonic() - began), process.memory_info().rss / MB)


@asynccontextmanager
async def _vagus(lab: Lab, folder: Path) -> AsyncIterator[psutil.Process]:
    vagus = VagusProcess(lab.settings.config_file, folder / "vagus.log", mode="auto")
    await vagus.start()
    try:
        yield psutil.Process(vagus.pid)
    finally:
        await vagus.stop()


@asynccontextmanager
async def _prometheus(lab: Lab, folder: Path) -> AsyncIterator[psutil.Process]:
    targets = [
        replica.address.removeprefix("http://")
        for replica in (await lab.client.replicas()).values()
        if replica.component in ("chat", "embed", "rag")
    ]
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: lab, static_configs: [{{targets: {targets}}}]}}]\n",
        encoding="utf-8",
    )
    process = await asyncio.create_subprocess_exec(
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{9090 + SETTINGS.offset}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        await process.wait()
