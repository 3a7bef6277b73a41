"""``vagus run``: the loop until Ctrl-C, with a live view in a terminal and JSON lines elsewhere.

Both are readers of the ledger: a line is shown because it was recorded, so what was shown can be
found again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import signal
import sys
from collections import deque
from pathlib import Path

from rich.console import Console
from rich.live import Live

from vagus import config
from vagus.app import Vagus
from vagus.cli.live import Told, screen
from vagus.cli.logs import configure_logs
from vagus.config import Mode
from vagus.errors import ConfigError, StateUnavailable
from vagus.narrative import narrate

REFRESH = 0.25  # s between two frames
FEED_EVERY = 0.05  # s between two looks at the ledger
STORY = 200  # lines kept for the view


def run_vagus(path: Path, *, mode: str | None, as_json: bool) -> None:
    settings = config.load(path)
    if mode is not None:
        try:
            settings = settings.model_copy(update={"mode": Mode(mode)})
        except ValueError as error:
            modes = ", ".join(Mode)
            raise ConfigError(f"unknown mode {mode!r}", mend=f"use one of {modes}") from error
    console = Console()
    live = console.is_terminal and not as_json
    configure_logs(quiet=live)
    asyncio.run(_run(settings, console if live else None))


async def _run(settings: config.Settings, console: Console | None) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    work = asyncio.create_task(_work(settings, console))
    stop = asyncio.create_task(ended.wait())
    await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
    for task in (work, stop):
        task.cancel()
    await asyncio.gather(work, stop, return_exceptions=True)
    if not work.cancelled():
        work.result()  # raises what ended it


async def _work(settings: config.Settings, console: Console | None) -> None:
    async with Vagus.opened(settings) as vagus:
        tasks = (
            asyncio.create_task(vagus.run()),
            asyncio.create_task(_show(vagus, console) if console else _print_lines(vagus)),
        )
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled():
                task.result()


async def _print_lines(vagus: Vagus) -> None:
    """Each entry of the ledger as a JSON line, from this start on, for as long as somebody reads:
    whoever started it for its lines and was killed must not leave it behind."""
    last = vagus.began_after
    reader = select.poll()
    reader.register(sys.stdout.fileno(), select.POLLERR)
    while not reader.poll(0):
        with contextlib.suppress(StateUnavailable):  # the loop says so; the lines come later
            for entry in vagus.ledger.entries(after=last):
                last = entry.seq
                line = {
                    "at": entry.at,
                    "workflow": entry.workflow,
                    "event": entry.event,
                    "facts": entry.facts,
                }
                sys.stdout.write(json.dumps(line, default=str) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(FEED_EVERY)


async def _show(vagus: Vagus, console: Console) -> None:
    story = deque(
        (Told(e.at, narrate(e.event, e.facts)) for e in vagus.ledger.tail(20)), maxlen=STORY
    )
    last = vagus.ledger.head().seq
    with (
        Live(console=console, screen=True, auto_refresh=False) as view,
        contextlib.suppress(asyncio.CancelledError),
    ):
        while True:
            with contextlib.suppress(StateUnavailable):  # what was last known stays on the screen
                for entry in vagus.ledger.entries(after=last):
                    last = entry.seq
                    story.append(Told(entry.at, narrate(entry.event, entry.facts)))
                room = max(4, console.height - len(vagus.topology().replicas()) - 12)
                view.update(screen(vagus.snapshot(), list(story), lines=room), refresh=True)
            await asyncio.sleep(REFRESH)
