"""One-off steps of a start, each run as a process of its own.

They block (files, ``initdb``, COPY) and some take seconds, while the supervisor must stay a single
thread that answers at once. As a process group such a step is also ended with the lab like anything
else, whatever it has started itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from vagus.errors import VagusError
from vagus.lab.settings import LabSettings
from vagus.lab.vectors import load, prepare_cluster

JOBS: Mapping[str, Callable[[LabSettings], None]] = {
    "prepare-vectors": prepare_cluster,
    "load-vectors": load,
}


def command(settings: LabSettings, name: str) -> list[str]:
    """The command line of the job ``name``."""
    return [sys.executable, "-m", "vagus.lab.job", name, "--settings", str(settings.settings_file)]


def main() -> None:
    """Run one job; its failure is the last line it prints."""
    parser = argparse.ArgumentParser(prog="python -m vagus.lab.job")
    parser.add_argument("job", choices=sorted(JOBS))
    parser.add_argument("--settings", type=Path, required=True)
    options = parser.parse_args()
    try:
        JOBS[options.job](LabSettings.load(options.settings))
    except VagusError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
