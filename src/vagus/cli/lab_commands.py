"""What ``vagus lab`` does; the parsing is in :mod:`vagus.cli.lab`."""

from __future__ import annotations

import asyncio
import json
import signal
import uuid
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from vagus.cli.progress import StepProgress
from vagus.lab import setup
from vagus.lab.client import SupervisorClient
from vagus.lab.settings import LabSettings, url
from vagus.lab.stack import Lab, LabStatus
from vagus.lab.status import ReplicaStatus


def setup_lab(*, model: Path | None, versions: Sequence[str], as_json: bool) -> None:
    settings = LabSettings(model=model)
    with StepProgress(Console(stderr=True)) as progress:
        setup.prepare(settings, progress, versions)
    if as_json:
        typer.echo(json.dumps({"cache": str(settings.cache_dir)}))
    else:
        typer.echo(f"ready: {settings.cache_dir}")


def keep_lab_up(*, port_offset: int, model: Path | None, load: float, as_json: bool) -> None:
    asyncio.run(_keep_up(LabSettings(offset=port_offset, model=model), load, as_json=as_json))


async def _keep_up(settings: LabSettings, rate: float, *, as_json: bool) -> None:
    from vagus.lab.load import run_load

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    lab = Lab(settings)
    try:
        with StepProgress(Console(stderr=True)) as progress:
            starting = asyncio.create_task(lab.up(progress))
            await asyncio.wait(
                {starting, asyncio.create_task(ended.wait())}, return_when="FIRST_COMPLETED"
            )
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                return
            await starting
        _print_status(await lab.status(), as_json=as_json)
        if not as_json:
            gateway = url(settings.gateway_port)
            typer.echo(
                f"\nask it:    curl -N {gateway}/ask -H 'content-type: application/json' "
                f"""-d '{{"question": "What is a lambda?"}}'\n"""
                f"watch it:  vagus run -c {settings.config_file}\n"
                "stop it:   Ctrl-C"
            )
        loading = asyncio.create_task(run_load(settings, rate)) if rate > 0 else None
        await ended.wait()
        if loading is not None:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
    finally:
        await lab.down()


def take_lab_down(*, port_offset: int, as_json: bool) -> None:
    async def down() -> bool:
        lab = Lab(LabSettings(offset=port_offset))
        was_up = (await lab.status()).pid is not None
        await lab.down()
        return was_up

    was_up = asyncio.run(down())
    if as_json:
        typer.echo(json.dumps({"was_up": was_up}))
    else:
        typer.echo("the lab is down" if was_up else "the lab was not up")


def roll_out(*, version: str, replica: str, port_offset: int, as_json: bool) -> None:
    settings = LabSettings(offset=port_offset)
    with StepProgress(Console(stderr=True)) as progress:
        setup.prepare(settings, progress, [version])

    async def publish() -> ReplicaStatus:
        async with SupervisorClient.of(settings) as client:
            return await client.restart(replica, f"rollout-{uuid.uuid4()}", version)

    status = asyncio.run(publish())
    if as_json:
        typer.echo(json.dumps(status.to_json()))
    else:
        typer.echo(f"{status.name} starts as {status.version}")


def damage_store(*, name: str, port_offset: int, as_json: bool) -> None:
    from vagus.lab import damage

    settings = LabSettings(offset=port_offset)
    damage.prepare(settings, name)
    damage.inflict(settings, name)
    typer.echo(json.dumps({"damage": name}) if as_json else f"the store has {name}")


def print_lab_status(*, port_offset: int, as_json: bool) -> None:
    async def ask() -> LabStatus:
        lab = Lab(LabSettings(offset=port_offset))
        try:
            return await lab.status()
        finally:
            await lab.client.close()

    _print_status(asyncio.run(ask()), as_json=as_json)


def _print_status(status: LabStatus, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(status.to_json()))
        return
    typer.echo(f"the lab is {status.phase}")
    if not status.replicas:
        return
    table = Table(box=None, header_style="bright_black")
    for title in ("replica", "address", "version", "state", "fault"):
        table.add_column(title)
    for name, replica in status.replicas.items():
        table.add_row(name, replica.address, replica.version, replica.state, replica.fault or "")
    Console().print(table)
