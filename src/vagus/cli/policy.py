"""``vagus policy``: look at the rules, try them on cases, and read what the gate said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    help="Operators' rules: check them, try them on cases; and why the gate ruled as it did.",
    no_args_is_help=True,
)

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The stack and its settings.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command()
def check(
    file: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads the annotation at run time
        typer.Argument(help="The rules; without it, those that the configuration names."),
    ] = None,
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Check a file of rules; exit code 2 if it has a mistake.

    Without a configuration, groups of approvers and names of components can't be checked.
    """
    from vagus.cli.policy_report import check_rules

    check_rules(file, config, as_json=as_json)


@app.command("test")
def try_cases(
    file: Annotated[Path, typer.Argument(help="The table of cases.")],
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Try rules on a table of cases. Exit code 0 if all pass, 1 if one doesn't, 2 if the table or
    the rules have a mistake."""
    from vagus.cli.policy_report import test_rules

    test_rules(file, config, as_json=as_json)


@app.command()
def explain(
    incident: Annotated[str, typer.Argument(help="Its name, as vagus incidents lists it.")],
    config: Config = Path("vagus.yaml"),
    everything: Annotated[
        bool, typer.Option("--all", help="What merely allowed is shown too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Which guard said what of each request of an incident, with the numbers. From the ledger."""
    from vagus.cli.policy_report import explain_incident

    explain_incident(config, incident, everything=everything, as_json=as_json)
