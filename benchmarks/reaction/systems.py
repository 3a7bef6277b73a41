"""The systems under test: what stands between a faulty replica and its callers.

Each is one more thing to start beside the same rig, and to stop. Vagus is one of them and is
treated like the others: a process, a file of settings, and nothing that the others could not see.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Protocol

import yaml

from benchmarks.reaction.rig import COMPONENT, FAULTS, Rig
from vagus.lab.envoy_clusters import Protection
from vagus.lab.settings import url


class System(Protocol):
    """A way of protecting callers."""

    @property
    def key(self) -> str:
        """Begins the names of its figures."""
        ...

    @property
    def name(self) -> str:
        """For people."""
        ...

    @property
    def protection(self) -> Protection:
        """How the Envoy underneath is configured."""
        ...

    @property
    def faults(self) -> tuple[str, ...]:
        """What it is measured against."""
        ...

    def missing(self) -> str:
        """Why it can't run here and what to install; empty if it can."""
        ...

    async def start(self, rig: Rig) -> None:
        """Returns when it is ready to react; what it starts through ``rig`` ends with the rig."""
        ...

    async def stop(self) -> None: ...


@dataclass(frozen=True)
class EnvoyAlone:
    """Nothing but the gateway's own reactions."""

    key: str
    name: str
    protection: Protection
    faults: tuple[str, ...] = FAULTS

    def missing(self) -> str:
        return ""

    async def start(self, rig: Rig) -> None:
        return

    async def stop(self) -> None:
        return


class TunedWithVagus:
    """Tuned Envoy, steered by ``vagus run``. Nothing can restart the replicas here, so the fault
    stays, and what is measured is how soon and how well it is contained."""

    key = "vagus"
    name = "tuned + Vagus"
    protection = Protection.TUNED
    faults = FAULTS

    def __init__(self) -> None:
        self._end: list[tuple[Rig, asyncio.subprocess.Process]] = []

    def missing(self) -> str:
        try:
            asked = subprocess.run(
                [*_VAGUS, "run", "--help"], capture_output=True, timeout=30, check=False
            )
        except subprocess.TimeoutExpired:
            return "`vagus run --help` does not answer"
        return "" if asked.returncode == 0 else "`vagus run` does not start: pip install vagus"

    async def start(self, rig: Rig) -> None:
        port = rig.ports.spare(0)
        settings = rig.folder / "vagus.yaml"
        settings.write_text(
            yaml.safe_dump(vagus_settings(rig, port), sort_keys=False), encoding="utf-8"
        )
        process = await rig.spawn("vagus", [*_VAGUS, "run", "-c", str(settings)])
        self._end.append((rig, process))
        await rig.until_answers("vagus", url(port) + "/healthz")

    async def stop(self) -> None:
        while self._end:
            rig, process = self._end.pop()
            await rig.end(process)


_VAGUS = (sys.executable, "-m", "vagus")


def vagus_settings(rig: Rig, port: int) -> dict[str, object]:
    """``vagus.yaml`` for the rig: everything that is not said is Vagus's default."""
    replicas = {name: url(number) for name, number in rig.ports.replicas.items()}
    envoy = {
        "admin": url(rig.edge.admin_port),
        "dir": str(rig.edge.folder),
        "access_log": str(rig.edge.access_log),
    }
    return {
        "stack": {COMPONENT: {"kind": "model-server", "engine": "llama.cpp", "replicas": replicas}},
        "gateway": {"envoy": envoy},
        "mode": "auto",
        "api": {"port": port},
    }


def on_path(program: str) -> bool:
    """Whether ``program`` is installed."""
    return shutil.which(program) is not None
