"""``vagus proposals``, ``approve`` and ``deny``: what waits for people, and their answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

Config = Annotated[Path, typer.Option("--config", "-c", help="The stack and its settings.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
TokenFile = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option(help="File with your token; else $VAGUS_TOKEN or ~/.config/vagus/token."),
]
Reason = Annotated[str, typer.Option(help="Why: it is kept with your answer.")]
Which = Annotated[
    str, typer.Argument(help="The proposal, or its incident if only one of it waits.")
]


def add_to(app: typer.Typer) -> None:
    for command in (proposals, approve, deny):
        app.command()(command)


def proposals(
    proposal: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="Show the sheet of this one, or of this incident's."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    config: Config = Path("vagus.yaml"),
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List what waits for people, or show one with all that is needed to decide."""
    from vagus.cli import approval_commands as commands

    if proposal is None:
        commands.print_proposals(config, token_file, everything=everything, as_json=as_json)
    else:
        commands.print_proposal(config, token_file, proposal, as_json=as_json)


def approve(
    proposal: Which,
    reason: Reason = "",
    config: Config = Path("vagus.yaml"),
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Say yes. It is a yes to exactly this: if the world moves before it is done, it is void."""
    from vagus.cli.approval_commands import answer

    answer(config, token_file, proposal, yes=True, reason=reason, as_json=as_json)


def deny(
    proposal: Which,
    reason: Reason = "",
    config: Config = Path("vagus.yaml"),
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Say no. One no is enough."""
    from vagus.cli.approval_commands import answer

    answer(config, token_file, proposal, yes=False, reason=reason, as_json=as_json)
