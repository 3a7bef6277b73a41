"""What ``vagus proposals``, ``approve`` and ``deny`` do and print.

Whoever reads a sheet was woken for it: what is asked comes first, then why, then what it may do to
whom; and the two commands to answer with stand below, to be copied.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vagus import config
from vagus.cli.remote import Remote
from vagus.errors import VagusError

_STATE = {
    "open": ("?", "yellow"),
    "approved": ("✔", "green"),
    "denied": ("✖", "red"),
    "expired": ("○", "bright_black"),
    "void": ("○", "bright_black"),
}


def print_proposals(
    path: Path, token_file: Path | None, *, everything: bool, as_json: bool
) -> None:
    remote = Remote(config.load(path), token_file)
    page = remote.get("proposals") if everything else remote.get("proposals", waiting="true")
    found = page["items"]
    if as_json:
        typer.echo(json.dumps({"proposals": found}))
        return
    if not found:
        typer.echo("nobody was ever asked" if everything else "nothing waits for people")
        return
    table = Table(box=None, header_style="bright_black")
    for title in ("", "proposal", "what", "tier", "waits for", "left"):
        table.add_column(title, no_wrap=title != "what")
    for proposal in found:
        mark, colour = _STATE.get(proposal["state"], ("·", ""))
        waits = _asks(proposal) if proposal["state"] == "open" else proposal["state"]
        table.add_row(
            Text(mark, colour),
            proposal["id"],
            Text(proposal["sheet"]["what"]),
            proposal["tier"],
            waits,
            _left(proposal),
        )
    Console().print(table)


def print_proposal(path: Path, token_file: Path | None, which: str, *, as_json: bool) -> None:
    remote = Remote(config.load(path), token_file)
    proposal = remote.get("proposals", _resolve(remote, which))
    if as_json:
        typer.echo(json.dumps(proposal))
    else:
        Console().print(sheet(proposal))


def answer(
    path: Path, token_file: Path | None, which: str, *, yes: bool, reason: str, as_json: bool
) -> None:
    remote = Remote(config.load(path), token_file)
    body: dict[str, object] = {"yes": yes} | ({"reason": reason} if reason else {})
    proposal = remote.post("proposals", _resolve(remote, which), "answers", body=body)
    if as_json:
        typer.echo(json.dumps(proposal))
        return
    what = proposal["sheet"]["what"]
    match proposal["state"]:
        case "open":
            typer.echo(f"your yes is noted; it still waits for {_asks(proposal)}: {what}")
        case state:
            typer.echo(f"{state}: {what}")


def sheet(proposal: dict[str, Any]) -> Panel:
    """The whole proposal, to decide by."""
    said = proposal["sheet"]
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bright_black", no_wrap=True)
    rows.add_column()
    lines = {
        "why": "\n".join(said["why"]) or "–",
        "cause": f"{said['cause']} ({said['confidence']:.0%} sure)",
        "touches": said["blast_radius"],
        "then looks at": said["checks"],
        "taken back by": said["undo"],
        "so far": said["record"],
        "no answer": said["unanswered"],
    }
    for name, text in lines.items():
        rows.add_row(name, Text(text))
    for given in proposal["answers"]:
        word = Text("yes" if given["yes"] else "no", "green" if given["yes"] else "red")
        rows.add_row(given["by"], word.append(f"  {given['reason']}", "bright_black"))
    mark, colour = _STATE.get(proposal["state"], ("·", ""))
    title = Text.assemble((f"{mark} ", colour), (said["what"], "bold"))
    parts: list[RenderableType] = [Text(_standing(proposal), colour), Text(), rows]
    if proposal["state"] == "open":
        parts += [Text(), *_ways(proposal["id"])]
    return Panel(Group(*parts), title=title, title_align="left", border_style=colour)


def _standing(proposal: dict[str, Any]) -> str:
    where = f"{proposal['tier']}, incident {proposal['incident']}"
    if proposal["state"] != "open":
        note = f": {proposal['note']}" if proposal["note"] else ""
        return f"{proposal['state']}{note}  ({where})"
    until = datetime.fromtimestamp(proposal["expires_at"]).astimezone().strftime("%H:%M:%S")
    return f"waits for {_asks(proposal)} until {until}, {_left(proposal)} left  ({where})"


def _ways(proposal_id: str) -> Iterator[Text]:
    yield Text(f"vagus approve {proposal_id}", "green")
    yield Text(f"vagus deny {proposal_id} --reason ...", "red")


def _asks(proposal: dict[str, Any]) -> str:
    """Whom it waits for, all in all; who of them answered stands with the answers."""
    people = [
        f"{ask['approvers']} {'person' if ask['approvers'] == 1 else 'people'}"
        + (f" of {ask['group']}" if ask["group"] else "")
        for ask in proposal["asks"]
    ]
    yes = sum(given["yes"] for given in proposal["answers"])
    return " and ".join(people) + (f" ({yes} said yes)" if yes else "")


def _left(proposal: dict[str, Any]) -> str:
    if proposal["state"] != "open":
        return ""
    seconds = max(0, round(proposal["expires_at"] - time.time()))
    return f"{seconds // 60}:{seconds % 60:02d}"


def _resolve(remote: Remote, which: str) -> str:
    """``which`` itself, or the one proposal that waits if it names an incident."""
    if ":" in which:
        return which
    waiting = remote.get("proposals", waiting="true")["items"]
    found = [proposal["id"] for proposal in waiting if proposal["incident"] == which]
    if len(found) != 1:
        raise VagusError(
            f"{len(found) or 'nothing'} of it waits for people",
            where=which,
            mend=f"name one: {', '.join(found)}" if found else "see which do: vagus proposals",
        )
    return str(found[0])
