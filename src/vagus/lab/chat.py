"""One chat replica: a hop at the public address, and behind it the LLM server.

Two processes in one group, because they fail apart: the server is native code that may crash or
hang without taking a Python proxy with it, and the proxy must be able to lie about a server that is
well. Either one's end is the end of both. If the server exits, so does the hop, with its exit code;
if the hop is killed, the server's standard input closes and it leaves too.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from vagus.clock import SystemClock
from vagus.errors import LabError
from vagus.lab import llama
from vagus.lab.hop import hop_to
from vagus.lab.settings import LabSettings, url
from vagus.lab.weights import model_file


def command(settings: LabSettings, name: str, port: int, version: str) -> list[str]:
    """The command line of the replica ``name`` of ``version`` whose public port is ``port``."""
    return [
        *(sys.executable, "-m", "vagus.lab.chat"),
        *("--settings", str(settings.settings_file), "--name", name, "--port", str(port)),
        *("--version", version),
    ]


async def run(settings: LabSettings, port: int, version: str) -> int:
    """Run the replica until SIGTERM or until its server ends; returns the exit code."""
    server_port = settings.chat_server_port(port)
    server = await asyncio.create_subprocess_exec(
        *llama.command(model_file(settings, version), version, server_port),
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


def main() -> None:
    """The command line of a replica."""
    parser = argparse.ArgumentParser(prog="python -m vagus.lab.chat")
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--name", default="chat")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--version", required=True)
    options = parser.parse_args()
    try:
        settings = LabSettings.load(options.settings)
        sys.exit(asyncio.run(run(settings, options.port, options.version)))
    except LabError as error:
        sys.exit(f"{options.name}: {error}")


if __name__ == "__main__":
    main()
