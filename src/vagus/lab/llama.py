"""llama.cpp's own HTTP server, as a process: ``python -m vagus.lab.llama``.

It speaks OpenAI's API, streams, and has ``/health`` (503 while it loads), ``/metrics``, ``/slots``,
``/props`` and ``/tokenize``. It serves until its standard input closes, which is to say as long as
the replica that started it lives. Little is imported here, because a restart waits for it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from vagus.errors import MissingExtra
from vagus.lab.settings import HOST

SLOTS = 2
CONTEXT_TOKENS = 4096
"""Shared by the slots: 2,048 each, room for a question, five passages and an answer."""
THREADS = 1
"""A replica a core, more or less: on two cores three replicas already compete."""


def command(model: Path, alias: str, port: int) -> list[str]:
    """The command line of a server of ``model`` that calls itself ``alias``."""
    return [
        *(sys.executable, "-m", "vagus.lab.llama"),
        *("--model", str(model), "--alias", alias, "--port", str(port)),
    ]


def serve(model: Path, alias: str, port: int) -> None:
    """Serve until standard input closes."""
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingExtra("lab", "xllamacpp") from error
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {alias}
    params.hostnames = [HOST]
    params.port = port
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = THREADS
    params.endpoint_metrics = params.endpoint_slots = params.endpoint_props = True
    params.cache_ram_mib = 0
    params.warmup = False
    _server = xllamacpp.Server(params)
    while os.read(sys.stdin.fileno(), 1024):
        pass
    # Not by way of the server's destructor: it may wait for streams, and nobody reads them now.
    os._exit(0)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m vagus.lab.llama")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    try:
        serve(options.model, options.alias, options.port)
    except MissingExtra as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
