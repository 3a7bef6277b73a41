"""``vagus lab``: the stack of the demo, to explore by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    help="A real AI stack on this machine: for the demo, for chaos, to explore.",
    no_args_is_help=True,
)

Offset = Annotated[int, typer.Option("--port-offset", help="Added to every port of the lab.")]
Model = Annotated[
    Optional[Path],  # noqa: UP045 - typer reads the annotation at run time
    typer.Option("--model", help="Your own GGUF instead of the packaged weights."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command()
def setup(
    model: Model = None,
    version: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--version", help="Make this version of the chat model too, such as v2."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the weights, make the model versions, embed the corpus. Cached: the second time is
    instant."""
    from vagus.cli.lab_commands import setup_lab

    setup_lab(model=model, versions=version or [], as_json=as_json)


@app.command()
def rollout(
    version: Annotated[str, typer.Argument(help="v1, v2, or v2-damaged: which nobody wants.")],
    replica: Annotated[str, typer.Option(help="The one that gets it: a canary.")] = "chat-3",
    port_offset: Offset = 0,
    as_json: AsJson = False,
) -> None:
    """Publish a version of the chat model on one replica of the running lab."""
    from vagus.cli.lab_commands import roll_out

    roll_out(version=version, replica=replica, port_offset=port_offset, as_json=as_json)


@app.command()
def damage(
    name: Annotated[str, typer.Argument(help="foreign-documents or deleted-rows.")],
    port_offset: Offset = 0,
    as_json: AsJson = False,
) -> None:
    """Damage what the vector store keeps: its searches go wrong, and nothing fails or gets slow.
    The next start of the lab makes it good."""
    from vagus.cli.lab_commands import damage_store

    damage_store(name=name, port_offset=port_offset, as_json=as_json)


@app.command()
def up(
    port_offset: Offset = 0,
    model: Model = None,
    load: Annotated[
        float, typer.Option(help="Questions per second to put on it; 0 for none.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Start the stack and keep it until Ctrl-C (or 'vagus lab down' from elsewhere)."""
    from vagus.cli.lab_commands import keep_lab_up

    keep_lab_up(port_offset=port_offset, model=model, load=load, as_json=as_json)


@app.command()
def down(port_offset: Offset = 0, as_json: AsJson = False) -> None:
    """Stop the stack that 'vagus lab up' started."""
    from vagus.cli.lab_commands import take_lab_down

    take_lab_down(port_offset=port_offset, as_json=as_json)


@app.command("status")
def status_(port_offset: Offset = 0, as_json: AsJson = False) -> None:
    """Say which replicas run, where, and which faults are in force."""
    from vagus.cli.lab_commands import print_lab_status

    print_lab_status(port_offset=port_offset, as_json=as_json)
