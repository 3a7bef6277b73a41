"""What ``vagus backup`` and ``vagus restore`` say."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from vagus import config
from vagus.backup import back_up, restore
from vagus.clock import SystemClock


def make_backup(path: Path, file: Path, *, as_json: bool) -> None:
    manifest = back_up(config.load(path).state, file, SystemClock())
    if as_json:
        typer.echo(json.dumps({"file": str(file), "manifest": manifest.model_dump()}))
        return
    typer.echo(f"{file}: the state up to entry {manifest.head} of the ledger")


def restore_backup(path: Path, file: Path, *, as_json: bool) -> None:
    done = restore(config.load(path).state, file, SystemClock())
    if as_json:
        replaced = [str(away) for away in done.replaced]
        told = {"manifest": done.manifest.model_dump(), "replaced": replaced}
        typer.echo(json.dumps(told))
        return
    typer.echo(f"restored up to entry {done.manifest.head} of the ledger")
    for away in done.replaced:
        typer.echo(f"what was there before: {away}")
    typer.echo(
        "licences, modes and kill switches are as they were then: look at them before you run "
        f"it again, or start with: vagus run --mode shadow -c {path}"
    )
