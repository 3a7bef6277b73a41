"""Records what Envoy's access log says of each fault, for tests that read such logs.

``python -m benchmarks.reaction.record FOLDER`` writes ``access-FAULT.jsonl`` for a healthy rig and
for each fault, with the lab's protection, and ``access-refused.jsonl``: a killed replica under
Envoy's defaults, which go on connecting to it.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

from benchmarks.reaction.client import Load
from benchmarks.reaction.rig import CHAT_PATH, FAULTS, standing
from vagus.clock import SystemClock
from vagus.lab.envoy_clusters import Protection
from vagus.lab.settings import url

_RATE = 50.0
_BEFORE, _AFTER = 30, 60
_FLUSHED_S = 0.5
_RECORDINGS = {
    "healthy": ("", Protection.TUNED),
    **{fault: (fault, Protection.TUNED) for fault in FAULTS},
    "refused": ("kill", Protection.DEFAULT),
}


async def _record(fault: str, protection: Protection, target: Path) -> None:
    clock = SystemClock()
    async with standing(protection, clock) as rig:
        load = Load(url(rig.edge.port) + CHAT_PATH, _RATE, rig.session, clock)
        await load.send(_BEFORE)
        if fault:
            await rig.inject(fault)
        await load.send(_AFTER)
        await load.finish()
        await clock.sleep(_FLUSHED_S)
        shutil.copyfile(rig.edge.access_log, target)


def main() -> None:
    """Record everything into the folder that the command line names."""
    folder = Path(sys.argv[1])
    for name, (fault, protection) in _RECORDINGS.items():
        asyncio.run(_record(fault, protection, folder / f"access-{name}.jsonl"))


if __name__ == "__main__":
    main()
