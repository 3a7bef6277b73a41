"""``vagus learn``: the past of a stack from its Prometheus, with progress."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from urllib.parse import urlsplit

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from vagus import config as settings
from vagus import outside
from vagus._units import Duration
from vagus.cli.progress import StepProgress
from vagus.errors import ConfigError

LONGEST_STEP = 3600.0  # s; two columns a chunk


def run_learn(
    config: Path, source: str, *, days: float, step: str, into: Path | None, as_json: bool
) -> None:
    """Raises VagusError; what was fetched until then stays, and is not fetched again."""
    stack = settings.load(config)
    folder = into or _folder(stack)
    seconds = _step(step)
    console = Console(stderr=True)
    with StepProgress(console) as bars:

        def progress(done: int, total: int, values: int) -> None:
            bars("learning", done / total, f"{done} of {total} chunks, {values:,} values")

        learned, known = asyncio.run(
            outside.learn(
                stack, _address(source), folder, days=days, step=seconds, progress=progress
            )
        )
    if as_json:
        typer.echo(json.dumps({**asdict(learned), "taught": known, "folder": str(folder)}))
        return
    typer.echo(
        f"{learned.values:,} values of {learned.series} series in {learned.chunks} new chunks "
        f"({learned.already_there} were there): {folder}"
    )
    typer.echo(f"what is normal is known of {known} series; a Vagus that starts goes on from there")


def _folder(stack: settings.Settings) -> Path:
    if stack.telemetry.history is None:
        raise ConfigError(
            "there is no folder for it",
            where="telemetry.history",
            mend="set telemetry.history, or give a folder with --into",
        )
    return stack.telemetry.history / "learned"


def _step(written: str) -> float:
    try:
        seconds: float = TypeAdapter(Duration).validate_python(written)
    except ValidationError as error:
        raise ConfigError(str(error.errors()[0]["ctx"]["error"]), where="--step") from error
    if not 1 <= seconds <= LONGEST_STEP:
        raise ConfigError("has to be between 1s and 1h", where="--step")
    return seconds


def _address(written: str) -> str:
    parts = urlsplit(written)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"{written!r} is not an address", where="--from", mend="such as http://127.0.0.1:9090"
        )
    if parts.username or parts.password:
        raise ConfigError("credentials don't belong in an address", where="--from")
    return written
