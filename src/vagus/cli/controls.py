"""``vagus stop``, ``resume`` and ``mode``: the levers that people hold while Vagus runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from vagus.cli.approvals import AsJson, Config, TokenFile


def add_to(app: typer.Typer) -> None:
    for command in (stop, resume, mode):
        app.command()(command)


def stop(
    reason: Annotated[str, typer.Option(help="Why, for whoever finds everything standing still.")],
    config: Config = Path("vagus.yaml"),
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Stop everything: nothing new is begun. Recoveries and undos may finish.

    Through the API; and if that can't be, by the file that 'policy.kill_switch' names. It says
    which.
    """
    from vagus.cli.control_commands import stop_all

    stop_all(config, token_file, reason=reason, as_json=as_json)


def resume(
    config: Config = Path("vagus.yaml"), token_file: TokenFile = None, as_json: AsJson = False
) -> None:
    """Lift the kill switch: the file, and the one that was set through the API."""
    from vagus.cli.control_commands import resume_all

    resume_all(config, token_file, as_json=as_json)


def mode(
    wanted: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Argument(
            metavar="[MODE]", help="off | shadow | suggest | auto, or declared: as the file says."
        ),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; needed with a mode.")] = "",
    config: Config = Path("vagus.yaml"),
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Say which mode is in force, or choose another. An operator lowers it, an admin raises it."""
    from vagus.cli.control_commands import choose_mode, print_mode

    if wanted is None:
        print_mode(config, token_file, as_json=as_json)
    else:
        choose_mode(config, token_file, wanted, reason=reason, as_json=as_json)
