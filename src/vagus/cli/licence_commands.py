"""What ``vagus licence`` does and prints."""

from __future__ import annotations

import json
import socket
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from vagus import config, licensing
from vagus.cli.live import Told, tell
from vagus.cli.remote import Remote
from vagus.cli.report import open_state
from vagus.cli.token_commands import whoami
from vagus.clock import SystemClock
from vagus.errors import ConfigError, NotFound
from vagus.granting import by_hand
from vagus.model import Licence, TrackRecord
from vagus.narrative import narrate
from vagus.state.db import open_database
from vagus.state.ledger import Ledger
from vagus.state.licences import Licences
from vagus.state.records import encode
from vagus.state.trials import Trials

CONNECT_S = 5.0  # s; on loopback it takes none


def print_licences(path: Path, *, everything: bool, as_json: bool) -> None:
    now = time.time()
    with closing(open_state(path)) as database:
        licences = Licences(database)
        found = licences.all() if everything else licences.valid(now)
    if as_json:
        typer.echo(json.dumps({"licences": [_facts(licence, now) for licence in found]}))
        return
    if not found:
        typer.echo("no licences: above the smallest reflexes, a person is asked each time")
        return
    table = Table(box=None, header_style="bright_black")
    for title in ("licence", "remedy", "component", "fault", "by", "proven", "state"):
        table.add_column(title, no_wrap=title != "state")
    for licence in found:
        table.add_row(
            licence.id,
            licence.action,
            licence.component,
            licence.fault or "any",
            f"{licence.issued_by} (manual)" if licence.manual else licence.issued_by,
            _proven(licence),
            _state(licence, now),
        )
    Console().print(table)


def print_licence(path: Path, licence_id: str, *, as_json: bool) -> None:
    now = time.time()
    with closing(open_state(path)) as database:
        licence = Licences(database).get(licence_id)
        if licence is None:
            mend = "see which there are: vagus licence list --all"
            raise NotFound("there is no such licence", where=licence_id, mend=mend)
        record = Trials(database).track_record(
            licence.action, licence.fault, licence.component, licence.environment
        )
        story = [e for e in Ledger(database).entries() if e.workflow == f"licence:{licence_id}"]
    if as_json:
        told = [{"at": e.at, "event": e.event, "facts": dict(e.facts)} for e in story]
        facts = _facts(licence, now) | {"record": encode(record), "story": told}
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{licence.id}: {licence.action} on {licence.component} may act alone for "
               f"{licence.fault or 'any fault'} in {licence.environment}")  # fmt: skip
    typer.echo(f"  {_state(licence, now)}")
    kind = "granted by hand, nothing is proven" if licence.manual else "earned"
    typer.echo(f"  {kind}: {licence.issued_by}, {_when(licence.issued_at)}: {licence.reason}")
    if not licence.manual:
        typer.echo(f"  proven when it was issued: {_proven(licence)}, by {licence.samples} trials")
    for experiment in licence.experiments:
        typer.echo(f"  experiment {experiment}")
    typer.echo(f"  by now: {_said(record)}\n")
    console = Console()
    for entry in story:
        console.print(tell(Told(entry.at, narrate(entry.event, entry.facts))))


def grant_licence(
    path: Path,
    token_file: Path | None,
    *,
    action: str,
    component: str,
    fault: str,
    days: int,
    owner: str | None,
    reason: str,
    as_json: bool,
) -> None:
    settings = config.load(path)
    if _somebody_runs(settings):
        body = {"action": action, "component": component, "fault": fault, "days": days}
        remote = Remote(settings, token_file)
        granted = remote.post("licences", body=body | {"reason": reason})
        if owner not in (None, granted["issued_by"]):
            typer.echo(f"the owner is whose token it was: {granted['issued_by']}", err=True)
        _say(granted, f"granted until {_when(granted['expires_at'])}", as_json=as_json)
        return
    clock = SystemClock()
    licence = by_hand(
        settings,
        action=action,
        component=component,
        fault=fault,
        days=days,
        owner=owner or whoami(),
        reason=reason,
        now=clock.now(),
    )
    with closing(open_database(settings.state, clock)) as database, database.write():
        licensing.issue(licence, Licences(database), Ledger(database), by=whoami())
    facts = _facts(licence, clock.now())
    _say(facts, f"granted until {_when(licence.expires_at)}", as_json=as_json)


def revoke_licence(
    path: Path, token_file: Path | None, licence_id: str, *, reason: str, as_json: bool
) -> None:
    if not reason.strip():
        raise ConfigError("a licence is taken away for a reason", mend="say it with --reason")
    settings = config.load(path)
    if _somebody_runs(settings):
        remote = Remote(settings, token_file)
        revoked = remote.post("licences", licence_id, "revocation", body={"reason": reason})
    else:
        with closing(open_state(path)) as database, database.write():
            licence = licensing.revoke(
                licence_id, reason, Licences(database), Ledger(database), by=whoami()
            )
        revoked = _facts(licence, time.time())
    _say(revoked, f"revoked: {revoked['revoked_because']}", as_json=as_json)


def _somebody_runs(settings: config.Settings) -> bool:
    """Whether anybody listens where Vagus would. Who does is asked, however slow it is: what a
    running Vagus would refuse must not be done behind its back."""
    try:
        with socket.create_connection((settings.api.host, settings.api.port), CONNECT_S):
            return True
    except ConnectionRefusedError:
        return False
    except OSError:
        return settings.api.port != 0


def _say(licence: dict[str, Any], what: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(licence) if as_json else f"{licence['id']} is {what}")


def _facts(licence: Licence, now: float) -> dict[str, object]:
    facts = encode(licence)
    assert isinstance(facts, dict)
    return facts | {"valid": licence.valid(now), "manual": licence.manual}


def _proven(licence: Licence) -> str:
    return "nothing" if licence.manual else f"at least {licence.bound:.0%}"


def _said(record: TrackRecord) -> str:
    return str(record) if record.samples else f"no {record.action} was verified here yet"


def _state(licence: Licence, now: float) -> str:
    if licence.revoked_at is not None:
        return f"revoked {_when(licence.revoked_at)}: {licence.revoked_because}"
    when = _when(licence.expires_at)
    return f"valid until {when}" if licence.valid(now) else f"expired {when}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")
