"""One chat replica: a hop at the public address, and behind it llama.cpp's own HTTP server.

Two processes in one group, because they fail apart: the server is native code that may crash or
hang without taking a Python proxy with it, and the proxy must be able to lie about a server that is
well. Either one's end is the end of both. If the server exits, so does the hop, with its exit code;
if the hop is killed, the server's standard input closes and it leaves too.

The server is started by running this module with ``--server``; it speaks OpenAI's API, streams,
and has ``/health`` (503 while it loads), ``/metrics``, ``/slots``, ``/props`` and ``/tokenize``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from vagus.clock import SystemClock
from vagus.errors import LabError, MissingExtra
from vagus.lab.hop import hop_to
from vagus.lab.settings import HOST, LabSettings, url
from vagus.lab.weights import model_file

SLOTS = 2
CONTEXT_TOKENS = 4096
"""Shared by the slots: 2,048 each, room for a question, five passages and an answer."""
THREADS = 1
"""A replica a core, more or less: on two cores three replicas already compete."""


def command(settings: LabSettings, name: str, port: int) -> list[str]:
    """The command line of the replica ``name`` whose public port is ``port``."""
    return [
        *(sys.executable, "-m", "vagus.lab.chat"),
        *("--settings", str(settings.settings_file), "--name", name, "--port", str(port)),
    ]


async def run(settings: LabSettings, port: int) -> int:
    """Run the replica until SIGTERM or until its server ends; returns the exit code."""
    server_port = settings.chat_server_port(port)
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vagus.lab.chat", "--server"),
        *("--model", str(model_file(settings)), "--alias", settings.chat_version),
        *("--port", str(server_port)),
        stdin=asyncio.subprocess.PIPE,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopped, ended = asyncio.create_task(stop.wait()), asyncio.create_task(server.wait())
    try:
        async with hop_to(url(server_port), port, SystemClock()):
            await asyncio.wait((stopped, ended), return_when=asyncio.FIRST_COMPLETED)
    finally:
        if server.returncode is None:
            server.kill()
        stopped.cancel()
        code = await ended
    return 0 if stop.is_set() else _exit_code(code)


def _exit_code(code: int) -> int:
    """A process that died by a signal, as a shell would report it; an early exit is a failure."""
    return 128 - code if code < 0 else code or 1


def serve(model: Path, alias: str, port: int) -> None:
    """Run llama.cpp's server until standard input closes; does not return."""
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
    server = xllamacpp.Server(params)
    while os.read(sys.stdin.fileno(), 1024):
        pass
    del server
    # Its destructor may wait for streams to finish; nobody is left to read them.
    os._exit(0)


def main() -> None:
    """Both roles' command line."""
    parser = argparse.ArgumentParser(prog="python -m vagus.lab.chat")
    parser.add_argument("--settings", type=Path)
    parser.add_argument("--name", default="chat")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--server", action="store_true")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--alias", default="model")
    options = parser.parse_args()
    try:
        if options.server:
            serve(options.model, options.alias, options.port)
        sys.exit(asyncio.run(run(LabSettings.load(options.settings), options.port)))
    except (LabError, MissingExtra) as error:
        sys.exit(f"{options.name}: {error}")


if __name__ == "__main__":
    main()
