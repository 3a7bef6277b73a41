"""``vagus golden``: questions whose answers are known, to be asked of the vector store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Golden queries: questions whose answers are known, asked of the vector store.",
    no_args_is_help=True,
)

Config = Annotated[Path, typer.Option("--config", "-c", help="The stack and its settings.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Collection = Annotated[str, typer.Argument(help="component/collection, as in vectors/passages.")]


@app.command()
def add(
    collection: Collection,
    query: Annotated[str, typer.Argument(help="The question.")],
    expect: Annotated[
        list[str],
        typer.Option(help="Key of a document that answers it; may be given several times."),
    ],
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Add one. A running Vagus asks it from then on."""
    from vagus.cli.golden_commands import add_one

    add_one(config, collection, query, expect, as_json=as_json)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A file of the same form.")],
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Add those of another file."""
    from vagus.cli.golden_commands import import_file

    import_file(config, file, as_json=as_json)


@app.command()
def suggest(
    collection: Collection,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Make some from documents of the collection: the beginning of a text, which is to find it.

    Only those are kept that an exact search answers now. Nothing is written: read them, and add
    them with 'vagus golden import'.
    """
    from vagus.cli.golden_commands import suggest_some

    suggest_some(config, collection, count, as_json=as_json)
