"""``vagus notify``: whether people can be reached."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(help="Whether people can be reached.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """So that the one command there is keeps its name."""


@app.command("test")
def try_out(
    name: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Argument(help="Only this target; all of them without it."),
    ] = None,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="The stack and its settings.")
    ] = Path("vagus.yaml"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Send a test message to the targets of 'notify:'. Exit code 1 if one did not take it."""
    from vagus.cli.notify_commands import send_tests

    send_tests(config, name, as_json=as_json)
