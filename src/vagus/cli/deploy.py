"""``vagus deploy``: tell of a rollout, and ask whether it may go on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vagus.cli.approvals import AsJson, Config, TokenFile

app = typer.Typer(
    help="Tell Vagus of rollouts, so that what breaks with a new version is taken back with it.",
    no_args_is_help=True,
)

RolloutId = Annotated[str, typer.Argument(help="The rollout, as 'deploy start' called it.")]


@app.command()
def start(
    component: Annotated[str, typer.Argument(help="Which component gets a version.")],
    version: Annotated[str, typer.Argument(help="The version that it gets.")],
    previous: Annotated[str, typer.Option(help="The version to go back to.")],
    replica: Annotated[list[str], typer.Option(help="Who gets it; may be given several times.")],
    config: Config = Path("vagus.yaml"),
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell that replicas are about to get a new version. Needs an operator's token.

    Vagus rolls nothing out. It watches these replicas, takes the version for the cause of what they
    suffer from now on, and proposes to go back.
    """
    from vagus.cli.deploy_commands import start_rollout

    start_rollout(
        config,
        token_file,
        component=component,
        version=version,
        previous=previous,
        replicas=replica,
        as_json=as_json,
    )


@app.command()
def gate(
    rollout: RolloutId,
    wait: Annotated[
        float, typer.Option(help="Seconds to wait for more than 'inconclusive'.", min=0)
    ] = 0.0,
    config: Config = Path("vagus.yaml"),
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask whether to go on. Exit code 0: promote. 1: roll back. 2: too little was seen."""
    from vagus.cli.deploy_commands import ask_gate

    raise typer.Exit(ask_gate(config, token_file, rollout, wait=wait, as_json=as_json))


@app.command()
def finish(
    rollout: RolloutId,
    verdict: Annotated[
        str, typer.Option(help="promoted | rolled-back | abandoned: what became of it.")
    ] = "promoted",
    config: Config = Path("vagus.yaml"),
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Tell that a rollout is over."""
    from vagus.cli.deploy_commands import finish_rollout

    finish_rollout(config, token_file, rollout, verdict=verdict, as_json=as_json)


@app.command("list")
def list_(
    config: Config = Path("vagus.yaml"), token_file: TokenFile = None, as_json: AsJson = False
) -> None:
    """The latest rollout of each component."""
    from vagus.cli.deploy_commands import print_rollouts

    print_rollouts(config, token_file, as_json=as_json)
