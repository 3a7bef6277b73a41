"""The lab's supervisor: ``python -m vagus.lab.supervisor --settings FILE``.

One process, one thread. It starts the whole lab, answers on its HTTP API from the first moment on,
and ends everything when it is told to: by SIGINT, SIGTERM or SIGHUP, by ``POST /shutdown``, by its
owner's death (with ``--owned``, standard input is a pipe that the owner holds), or because the
watchdog is gone that would clean up after it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

import aiohttp

from vagus.clock import Clock, SystemClock
from vagus.errors import LabError, VagusError
from vagus.lab import declaration, rundir
from vagus.lab.api import Api, Health
from vagus.lab.boot import blueprints, boot
from vagus.lab.fleet import Fleet
from vagus.lab.hop import serving
from vagus.lab.ports import check_ports
from vagus.lab.processes import Processes
from vagus.lab.settings import LabSettings
from vagus.lab.wheels import replacing


async def supervise(settings: LabSettings, *, owned: bool, clock: Clock) -> None:
    """Run the lab until it is told to end; raises LabError if it could not be brought up."""
    check_ports(settings)
    rundir.claim(settings)
    secret = _write_secret(settings)
    declaration.write(settings)
    stop, health = asyncio.Event(), Health()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    if owned:
        _stop_with_owner(stop)
    try:
        async with AsyncExitStack() as context:
            processes = Processes(clock)
            context.push_async_callback(processes.end_all)
            session = await context.enter_async_context(aiohttp.ClientSession())
            fleet = Fleet(
                blueprints(settings, session), processes, session, settings.logs_dir, clock
            )
            context.push_async_callback(fleet.close)
            app = Api(fleet, health, secret, stop.set).app()
            await context.enter_async_context(serving(app, settings.supervisor_port))
            rundir.write_note(settings, health.phase)
            starting = _bring_up(settings, fleet, processes, health, clock)
            await _until_stopped(stop, processes, starting)
    except LabError as error:
        rundir.write_note(settings, "failed", error)
        raise
    finally:
        settings.token_file.unlink(missing_ok=True)
    rundir.write_note(settings, "down")


async def _bring_up(
    settings: LabSettings, fleet: Fleet, processes: Processes, health: Health, clock: Clock
) -> None:
    await boot(settings, fleet, processes, health, clock)
    health.phase, health.step, health.done, health.note = "up", "lab", 1.0, "all is healthy"
    rundir.write_note(settings, health.phase)


async def _until_stopped(
    stop: asyncio.Event, processes: Processes, bring_up: Coroutine[None, None, None]
) -> None:
    """Wait for an order to stop; a failed start or the watchdog's end raise."""
    starting = asyncio.create_task(bring_up)
    stopped = asyncio.create_task(stop.wait())
    unwatched = asyncio.create_task(processes.watchdog_gone.wait())
    waiting: set[asyncio.Task[None] | asyncio.Task[Literal[True]]] = {starting, stopped, unwatched}
    try:
        while not stopped.done():
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if unwatched.done():
                raise LabError("the watchdog ended: nobody would clean up", mend="start again")
            if starting in waiting and starting.done():
                starting.result()
                waiting.discard(starting)
    finally:
        for task in (starting, stopped, unwatched):
            task.cancel()
        await asyncio.gather(starting, stopped, unwatched, return_exceptions=True)


def _stop_with_owner(stop: asyncio.Event) -> None:
    """Stop when standard input, a pipe from our owner, ends."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            loop.remove_reader(sys.stdin.fileno())
            stop.set()

    loop.add_reader(sys.stdin.fileno(), readable)


def _write_secret(settings: LabSettings) -> str:
    """A new bearer token, readable by this user alone from the moment the file exists."""
    secret = secrets.token_urlsafe(24)
    with replacing(settings.token_file) as fresh:
        fresh.chmod(0o600)
        fresh.write_text(secret, encoding="ascii")
    return secret


def main() -> None:
    """Run a lab in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m vagus.lab.supervisor")
    parser.add_argument("--settings", type=Path, help="what LabSettings.save wrote")
    parser.add_argument("--offset", type=int, default=0, help="move all ports by this")
    parser.add_argument("--owned", action="store_true", help="end when standard input does")
    options = parser.parse_args()
    try:
        settings = (
            LabSettings.load(options.settings)
            if options.settings
            else LabSettings(offset=options.offset)
        )
        asyncio.run(supervise(settings, owned=options.owned, clock=SystemClock()))
    except VagusError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
