"""``vagus ledger``: prove it, take it elsewhere, watch it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    help="What was seen, decided and done: prove that it is unchanged, export it, follow it.",
    no_args_is_help=True,
)

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The stack and its settings.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command()
def verify(
    anchor: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option(
            help="A file of heads, or NUMBER:HASH; without it the configuration's ledger_anchor."
        ),
    ] = None,
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Is every entry as it was written, and is none missing? Exit code 1 if not, and where.

    Only with a head that was kept elsewhere can it be found that the end was cut off, or that the
    whole chain was computed anew.
    """
    from vagus.cli.ledger_report import verify_ledger

    verify_ledger(config, anchor, as_json=as_json)


@app.command()
def export(
    after: Annotated[int, typer.Option(min=0, help="Only entries with a higher number.")] = 0,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A new file instead of standard output."),
    ] = None,
    config: Config = Path("vagus.yaml"),
) -> None:
    """Every entry as a JSON line, with its hash and the one before it."""
    from vagus.cli.ledger_report import export_ledger

    export_ledger(config, after=after, out=out)


@app.command()
def tail(
    count: Annotated[int, typer.Option("-n", min=0, help="How many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """The last entries, as sentences or as JSON lines."""
    from vagus.cli.ledger_report import tail_ledger

    tail_ledger(config, count=count, follow=follow, as_json=as_json)
