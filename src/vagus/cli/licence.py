"""``vagus licence``: which remedies may act alone, and by whose word.

Reading works on the state, so it works while Vagus is down. Changing goes through the API of a
running Vagus and needs an admin's token; with nobody running it is done on the state itself, and
the ledger holds the name of the user at the shell.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    help="Licences: which remedies may act alone. Earned in experiments, or granted by hand.",
    no_args_is_help=True,
)

Config = Annotated[Path, typer.Option("--config", "-c", help="The stack and its settings.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
LicenceId = Annotated[str, typer.Argument(help="Its id, as 'vagus licence list' shows it.")]
TokenFile = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option(help="File with an admin's token; $VAGUS_TOKEN or ~/.config/vagus/token else."),
]
Reason = Annotated[str, typer.Option(help="Why; it is kept with it.")]


@app.command("list")
def list_(
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that expired or were revoked.")
    ] = False,
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """List licences: what for, by whom, what is proven, until when."""
    from vagus.cli.licence_commands import print_licences

    print_licences(config, everything=everything, as_json=as_json)


@app.command()
def show(licence: LicenceId, config: Config = Path("vagus.yaml"), as_json: AsJson = False) -> None:
    """One licence: how it came to be, the record of its remedy by now, and what revoked it."""
    from vagus.cli.licence_commands import print_licence

    print_licence(config, licence, as_json=as_json)


@app.command()
def grant(
    action: Annotated[str, typer.Argument(help="The remedy, such as replace.")],
    component: Annotated[str, typer.Argument(help="The component of the stack.")],
    reason: Reason,
    owner: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Who vouches for it; you, without it. Through the API: the token's."),
    ] = None,
    fault: Annotated[str, typer.Option(help="Only for this fault; any without it.")] = "",
    days: Annotated[int, typer.Option(min=1, max=365, help="How long it is valid.")] = 30,
    token_file: TokenFile = None,
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Let a remedy act alone because somebody vouches for it.

    Nothing is proven by that, and it is labelled so wherever it is shown. It is lost as soon as the
    remedy makes something worse. Whoever can write the state is an admin.
    """
    from vagus.cli.licence_commands import grant_licence

    grant_licence(
        config,
        token_file,
        action=action,
        component=component,
        fault=fault,
        days=days,
        owner=owner,
        reason=reason,
        as_json=as_json,
    )


@app.command()
def revoke(
    licence: LicenceId,
    reason: Reason,
    token_file: TokenFile = None,
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Take a licence away: from now on a person is asked again."""
    from vagus.cli.licence_commands import revoke_licence

    revoke_licence(config, token_file, licence, reason=reason, as_json=as_json)
