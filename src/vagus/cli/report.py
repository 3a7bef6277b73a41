"""What ``status``, ``incidents`` and ``check-config`` print.

Incidents are read from the state itself, so they can be read while Vagus is down; status is asked
of the running process, since only it knows what it sees.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import closing
from datetime import datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from vagus import config
from vagus.cli.live import Told, tell
from vagus.clock import SystemClock
from vagus.errors import TargetUnreachable, VagusError
from vagus.granting import grants_of
from vagus.model import Incident
from vagus.narrative import narrate
from vagus.rulebook import read_rules
from vagus.state.db import Database, is_shared, open_database
from vagus.state.incidents import Incidents
from vagus.state.ledger import Ledger
from vagus.state.records import encode


def print_config(path: Path, *, schema: bool, as_json: bool) -> None:
    if schema:
        typer.echo(json.dumps(config.json_schema(), indent=2))
        return
    settings = config.load(path)
    if settings.policy.rules is not None:
        read_rules(settings.policy.rules, settings)
    grants_of(settings, SystemClock().now())
    replicas = sum(len(component.replicas) for component in settings.stack.values())
    if as_json:
        typer.echo(json.dumps({"ok": True, "components": len(settings.stack)}))
    else:
        typer.echo(
            f"{path}: good: {len(settings.stack)} components, {replicas} replicas, "
            f"mode {settings.mode.value}"
        )


def print_status(path: Path, *, as_json: bool) -> None:
    settings = config.load(path)
    address = f"http://{settings.api.host}:{settings.api.port}/status"
    try:
        with urllib.request.urlopen(address, timeout=3) as answer:
            text = answer.read().decode()
            status = json.loads(text)
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise TargetUnreachable(
            "no running Vagus answers", where=address, mend=f"start one: vagus run -c {path}"
        ) from error
    if as_json:
        typer.echo(text)
        return
    senses = status["senses"]
    trust = "trusted" if senses["trusted"] else f"not trusted: {senses['reason']}"
    typer.echo(f"mode {status['mode']}, senses {trust}")
    if status["stopped"]:
        typer.echo(f"kill switch: {status['stopped']}")
    if status["untold"]:
        typer.echo(f"{status['untold']} messages to people were not taken yet (vagus notify test)")
    table = Table(box=None, header_style="bright_black")
    for title in ("replica", "condition", "traffic", "TTFT p50", "p95", "symptoms"):
        table.add_column(title)
    for view in status["replicas"]:
        vitals = view["vitals"]
        table.add_row(
            view["subject"]["replica"],
            view["condition"],
            f"{view['share']:.0%}",
            _ms(vitals["ttft_p50"]),
            _ms(vitals["ttft_p95"]),
            ", ".join(view["symptoms"]),
        )
    Console().print(table)
    for incident in status["incidents"]:
        typer.echo(f"{incident['id']}  {incident['state']}  {incident['note']}")


def print_incidents(path: Path, *, limit: int, as_json: bool) -> None:
    with closing(open_state(path)) as database:
        found = Incidents(database).recent(limit)
    if as_json:
        typer.echo(json.dumps({"incidents": [encode(incident) for incident in found]}))
        return
    if not found:
        typer.echo("no incidents yet")
        return
    table = Table(box=None, header_style="bright_black")
    for title in ("incident", "opened", "subject", "fault", "state", "took", "note"):
        table.add_column(title, no_wrap=title != "note")
    for incident in found:
        table.add_row(
            incident.id,
            _clock(incident.opened_at),
            str(incident.subject),
            incident.cause.fault,
            incident.state.value,
            _took(incident),
            incident.note,
        )
    Console().print(table)


def print_incident(path: Path, incident_id: str, *, as_json: bool) -> None:
    with closing(open_state(path)) as database:
        incidents = Incidents(database)
        incident = incidents.get(incident_id)
        findings = incidents.findings(incident_id)
        entries = [
            entry
            for entry in Ledger(database).entries()
            if entry.workflow.rpartition(":")[0] == incident_id
        ]
    if as_json:
        story = [
            {"at": e.at, "event": e.event, "step": e.step, "facts": dict(e.facts)} for e in entries
        ]
        data = {"incident": incident, "findings": list(findings), "story": story}
        typer.echo(json.dumps(encode(data)))
        return
    console = Console()
    typer.echo(f"{incident.id}: {incident.cause.fault} on {incident.subject}, "
               f"{incident.state.value} {_took(incident)}")  # fmt: skip
    typer.echo(f"{incident.cause.sentence} (confidence {incident.cause.confidence:.0%})\n")
    for finding in findings:
        typer.echo(f"  {finding.sense.value}: {finding.sentence}")
    typer.echo("")
    for entry in entries:
        console.print(tell(Told(entry.at, narrate(entry.event, entry.facts))))


def open_state(path: Path) -> Database:
    """The state of the configuration at ``path``; it must be there."""
    settings = config.load(path)
    file = Path(settings.state.removeprefix("sqlite:///"))
    if not is_shared(settings.state) and not file.exists():
        raise VagusError(
            "no state yet", where=str(file), mend=f"it is made by: vagus run -c {path}"
        )
    return open_database(settings.state, SystemClock())


def _took(incident: Incident) -> str:
    if incident.closed_at is None:
        return ""
    return f"{incident.closed_at - incident.opened_at:.1f} s"


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.0f} ms"
