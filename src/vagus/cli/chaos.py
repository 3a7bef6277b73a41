"""``vagus chaos``: break things on purpose, and see whether they heal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from vagus.cli.approvals import AsJson, Config, TokenFile

app = typer.Typer(
    help="Experiments: break things on purpose, and see whether they heal. A fault never outlives "
    "its lease, whatever is killed.",
    no_args_is_help=True,
)

Which = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer reads the annotation at run time
    typer.Argument(metavar="[INTENT]...", help="By name; without one, all of them."),
]


@app.command()
def design(config: Config = Path("vagus.yaml"), as_json: AsJson = False) -> None:
    """Derive experiments from the stack and the faults that can be done to it, and list what no
    intent speaks of. Touches nothing."""
    from vagus.cli.chaos_commands import print_design

    print_design(config, as_json=as_json)


@app.command()
def plan(
    intents: Which = None, config: Config = Path("vagus.yaml"), as_json: AsJson = False
) -> None:
    """Print exactly what would be touched, and touch nothing."""
    from vagus.cli.chaos_commands import print_plan

    print_plan(config, intents or [], as_json=as_json)


@app.command()
def run(
    intents: Which = None,
    repeat: Annotated[int, typer.Option(min=1, help="Each so many times, replicas in turn.")] = 1,
    config: Config = Path("vagus.yaml"),
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Run experiments, one after the other; needs a running Vagus, and an operator's token.

    Ctrl-C takes the fault out and ends it. Exit code 0 only if all of them passed.
    """
    from vagus.cli.chaos_commands import run_experiments

    run_experiments(config, token_file, intents or [], repeat=repeat, as_json=as_json)


Html = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--html", help="Write the report as a page that needs nothing beside itself."),
]
Junit = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--junit", help="Write it as JUnit's XML, for a build server."),
]


@app.command()
def gameday(
    intents: Which = None,
    repeat: Annotated[int, typer.Option(min=1, help="Each so many times, replicas in turn.")] = 1,
    html: Html = None,
    junit: Junit = None,
    config: Config = Path("vagus.yaml"),
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Run a set of experiments, from calm to calm, and report: what was detected, healed and
    diagnosed, and which licences were earned and lost.

    It ends itself when a real incident begins, when the budget is full, or when somebody says stop.
    """
    from vagus.cli.chaos_commands import play_gameday

    play_gameday(
        config,
        token_file,
        intents or [],
        repeat=repeat,
        html=html,
        junit=junit,
        as_json=as_json,
    )


@app.command()
def report(
    compare: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder with the results of another time: say what changed."),
    ] = None,
    html: Html = None,
    junit: Junit = None,
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Report on all experiments so far. Needs no running Vagus."""
    from vagus.cli.chaos_commands import print_report

    print_report(config, compare=compare, html=html, junit=junit, as_json=as_json)


@app.command("list")
def list_(config: Config = Path("vagus.yaml"), as_json: AsJson = False) -> None:
    """List the experiments so far, and the faults that are in now."""
    from vagus.cli.chaos_commands import print_list

    print_list(config, as_json=as_json)


@app.command()
def abort(config: Config = Path("vagus.yaml"), as_json: AsJson = False) -> None:
    """Take every fault out now, whoever put it in. Needs no running Vagus and no token."""
    from vagus.cli.chaos_commands import abort_all

    abort_all(config, as_json=as_json)
