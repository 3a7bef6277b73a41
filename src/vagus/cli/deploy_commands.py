"""What ``vagus deploy`` does; the parsing is in :mod:`vagus.cli.deploy`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from vagus import config
from vagus.cli.remote import Remote
from vagus.errors import VagusError

EXIT_CODES = {"promote": 0, "roll-back": 1, "inconclusive": 2}
ASK_EVERY = 2.0  # s


def start_rollout(
    path: Path,
    token_file: Path | None,
    *,
    component: str,
    version: str,
    previous: str,
    replicas: Sequence[str],
    as_json: bool,
) -> None:
    body = {
        "component": component,
        "version": version,
        "previous": previous,
        "replicas": list(replicas),
    }
    started = _remote(path, token_file).post("rollouts", body=body)
    if as_json:
        typer.echo(json.dumps(started))
    else:
        typer.echo(f"{started['id']}: {version} on {', '.join(replicas)}, watched from now on")


def ask_gate(
    path: Path, token_file: Path | None, rollout: str, *, wait: float, as_json: bool
) -> int:
    """The exit code for a pipeline. Whoever can't be asked has not said to roll back."""
    remote, deadline = _remote(path, token_file), time.monotonic() + wait
    while True:
        try:
            said = remote.get("rollouts", rollout, "gate")
        except VagusError as error:
            said = {"promotion": "inconclusive", "sentence": str(error)}
        if said["promotion"] != "inconclusive" or time.monotonic() >= deadline:
            break
        time.sleep(min(ASK_EVERY, wait))
    typer.echo(json.dumps(said) if as_json else f"{said['promotion']}: {said['sentence']}")
    return EXIT_CODES[said["promotion"]]


def finish_rollout(
    path: Path, token_file: Path | None, rollout: str, *, verdict: str, as_json: bool
) -> None:
    ended = _remote(path, token_file).post("rollouts", rollout, "end", body={"verdict": verdict})
    typer.echo(json.dumps(ended) if as_json else f"{ended['id']}: {ended['verdict']}")


def print_rollouts(path: Path, token_file: Path | None, *, as_json: bool) -> None:
    found = _remote(path, token_file).get("rollouts")["items"]
    if as_json:
        typer.echo(json.dumps({"rollouts": found}))
        return
    if not found:
        typer.echo("Vagus was told of no rollout")
        return
    table = Table(box=None, header_style="bright_black")
    for title in ("rollout", "component", "version", "before", "replicas", "began", "state"):
        table.add_column(title)
    for rollout in found:
        table.add_row(
            rollout["id"],
            rollout["component"],
            rollout["version"],
            rollout["previous"],
            ", ".join(rollout["replicas"]),
            datetime.fromtimestamp(rollout["started_at"]).astimezone().strftime("%Y-%m-%d %H:%M"),
            rollout["verdict"] or "under way",
        )
    Console().print(table)


def _remote(path: Path, token_file: Path | None) -> Remote:
    return Remote(config.load(path), token_file)
