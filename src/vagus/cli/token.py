"""``vagus token``: who may speak to the API.

These work on the state itself and not through the API, since the first token has to come from
somewhere. Whoever can write the state is an admin, and the help says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    help="Tokens for the API: make, list, revoke. They work on the state itself: whoever can write "
    "it is an admin.",
    no_args_is_help=True,
)

Config = Annotated[Path, typer.Option("--config", "-c", help="The stack and its settings.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="The person or program: a-z, 0-9, '.', '_', '-'.")],
    role: Annotated[str, typer.Option(help="viewer | operator | approver | admin.")],
    expires: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option(help="How long it is valid, such as 30d; until revoked without it."),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write the secret into this new file (mode 600) instead of printing it."),
    ] = None,
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Make a token and show its secret, once.

    Two tokens of one name are one voice: an action that needs two people needs two names.
    """
    from vagus.cli.token_commands import create_token

    create_token(config, name, role=role, expires=expires, out=out, as_json=as_json)


@app.command("list")
def list_(config: Config = Path("vagus.yaml"), as_json: AsJson = False) -> None:
    """List tokens, valid or not; never their secrets."""
    from vagus.cli.token_commands import print_tokens

    print_tokens(config, as_json=as_json)


@app.command()
def revoke(
    token: Annotated[str, typer.Argument(help="Its id, as 'vagus token list' shows it.")],
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Make a token worthless from now on."""
    from vagus.cli.token_commands import revoke_token

    revoke_token(config, token, as_json=as_json)
