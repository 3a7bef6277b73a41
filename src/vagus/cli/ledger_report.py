"""What ``vagus ledger`` prints."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import typer
from rich.console import Console

from vagus import config
from vagus.cli.live import Told, tell
from vagus.cli.report import open_state
from vagus.errors import StateError, VagusError
from vagus.narrative import narrate
from vagus.state.anchor import read_anchors
from vagus.state.ledger import Entry, Head, Ledger
from vagus.state.records import encode

LOOK_EVERY = 0.5  # s between two looks while following
SHOWN = 20  # breaks that are listed; one change can break much


def verify_ledger(path: Path, anchor: str | None, *, as_json: bool) -> None:
    heads, source = _anchors(path, anchor)
    with closing(open_state(path)) as database:
        ledger = Ledger(database)
        breaks, head = ledger.verify(*heads), ledger.head()
    if as_json:
        told = {"ok": not breaks, "entries": head.seq, "head": str(head), "anchors": len(heads)}
        typer.echo(json.dumps(told | {"breaks": [encode(found) for found in breaks]}))
    elif breaks:
        for found in breaks[:SHOWN]:
            typer.echo(f"entry {found.seq}: {found.what}")
        if len(breaks) > SHOWN:
            typer.echo(f"and {len(breaks) - SHOWN} more")
        typer.echo(f"the ledger does not hold from entry {min(b.seq for b in breaks)} on")
    else:
        typer.echo(f"{head.seq} entries, each as it was written; head {head}")
        if heads:
            which = "the head" if len(heads) == 1 else f"all {len(heads)} heads"
            typer.echo(f"it agrees with {which} in {source}")
        else:
            typer.echo("not compared with any head that was kept elsewhere: see --anchor")
    if breaks:
        raise typer.Exit(1)


def _anchors(path: Path, anchor: str | None) -> tuple[Sequence[Head], str]:
    """What to compare with, and where it is from."""
    if anchor is None:
        kept = config.load(path).ledger_anchor
        return ([], "") if kept is None else (read_anchors(kept), str(kept))
    if Path(anchor).exists():
        return read_anchors(Path(anchor)), anchor
    try:
        return [Head.parse(anchor)], "the call"
    except ValueError as error:
        raise StateError(
            "is neither a file nor a head of a ledger", where=anchor, mend="write it as NUMBER:HASH"
        ) from error


def export_ledger(path: Path, *, after: int, out: Path | None) -> None:
    with closing(open_state(path)) as database:
        entries = Ledger(database).entries(after)
        if out is None:
            for entry in entries:
                sys.stdout.write(_line(entry))
            return
        try:
            with out.open("x", encoding="utf-8") as file:
                file.writelines(_line(entry) for entry in entries)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            mend = "name a file that is not there yet"
            raise VagusError(f"can't be written: {error}", where=str(out), mend=mend) from error


def _line(entry: Entry) -> str:
    return json.dumps(encode(entry), ensure_ascii=False, sort_keys=True) + "\n"


def tail_ledger(path: Path, *, count: int, follow: bool, as_json: bool) -> None:
    console = Console()
    with closing(open_state(path)) as database:
        ledger = Ledger(database)
        entries = followed(ledger, count, _pause) if follow else iter(ledger.tail(count))
        for entry in entries:
            if as_json:
                sys.stdout.write(_line(entry))
                sys.stdout.flush()
            else:
                sentence = tell(Told(entry.at, narrate(entry.event, entry.facts)))
                sentence.no_wrap, sentence.overflow = False, "fold"
                console.print(sentence)


def followed(ledger: Ledger, count: int, pause: Callable[[], None]) -> Iterator[Entry]:
    """The last ``count`` entries, and whatever comes after them."""
    last = ledger.head().seq
    yield from (entry for entry in ledger.tail(count) if entry.seq <= last)
    while True:
        for entry in ledger.entries(after=last):
            last = entry.seq
            yield entry
        pause()


def _pause() -> None:
    time.sleep(LOOK_EVERY)
