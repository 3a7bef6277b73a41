"""What ``vagus chaos`` does and prints; the parsing is in :mod:`vagus.cli.chaos`."""

from __future__ import annotations

import asyncio
import fcntl
import json
import signal
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from vagus import config
from vagus.chaos import report
from vagus.chaos.design import design
from vagus.chaos.gameday import GameDay, Hands
from vagus.chaos.intents import ResilienceIntent, load_intents
from vagus.chaos.lease import sweep
from vagus.chaos.plan import plan
from vagus.chaos.result import Result, Results, Verdict
from vagus.chaos.targets import targets
from vagus.chaos.undo import MachineUptime, Shelf
from vagus.cli.remote import Remote
from vagus.clock import SystemClock
from vagus.config import Settings
from vagus.errors import ChaosError, TargetUnreachable
from vagus.topology import Topology

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
STATUS_WITHIN = 5.0  # s


class Watched(Remote):
    """The API, and the status beside it that needs no token."""

    def status(self) -> Any:
        try:
            with _OPENER.open(f"{self.address}/status", timeout=STATUS_WITHIN) as answer:
                return json.load(answer)
        except (OSError, ValueError) as error:
            raise TargetUnreachable(
                "no running Vagus answers", where=self.address, mend="start one: vagus run"
            ) from error


def print_design(path: Path, *, as_json: bool) -> None:
    settings = _ready(path)
    found = design(Topology.declared(settings), targets(settings), _intents(settings))
    if as_json:
        typer.echo(json.dumps(asdict(found) | {"uncovered": found.uncovered}))
        return
    table = Table(box=None, header_style="bright_black")
    for title in ("component", "fault", "intents, or why not"):
        table.add_column(title)
    for candidate in found.candidates:
        about = candidate.refusal or ", ".join(candidate.intents) or "no intent"
        table.add_row(candidate.component, candidate.fault, about)
    Console().print(table)
    for uncovered in found.uncovered:
        typer.echo(f"not covered: {uncovered}")


def print_plan(path: Path, wanted: Sequence[str], *, as_json: bool) -> None:
    settings = _ready(path)
    plans = [plan(intent, targets(settings)) for intent in _chosen(settings, wanted)]
    if as_json:
        typer.echo(json.dumps({"experiments": [one.to_json() for one in plans]}))
        return
    for one in plans:
        typer.echo(f"{one.intent.name}")
        typer.echo(f"  does:   {one.does}")
        typer.echo(f"  lease:  {one.lease:g} s, then it is undone whatever happens")
        for promise in one.intent.holds:
            typer.echo(f"  holds:  {promise}")


def run_experiments(
    path: Path, token_file: Path | None, wanted: Sequence[str], *, repeat: int, as_json: bool
) -> None:
    settings = _ready(path)
    day = _play(settings, token_file, _chosen(settings, wanted), repeat, as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"experiments": [result.to_json() for result in day.results]}))
    _end(day)


def play_gameday(
    path: Path,
    token_file: Path | None,
    wanted: Sequence[str],
    *,
    repeat: int,
    html: Path | None,
    junit: Path | None,
    as_json: bool,
) -> None:
    settings = _ready(path)
    intents, before = _chosen(settings, wanted), _results(settings).all()
    day = _play(settings, token_file, intents, repeat, as_json=as_json)
    notes = [f"licence earned: {said}" for said in day.earned]
    notes += [f"licence lost: {said}" for said in day.lost]
    notes += [f"it ended early: {day.ended}"] if day.ended else []
    changes = report.changed(before, day.results) if before else ()
    _write(day.results, _healable(intents), html, junit, notes, changes)
    shown = report.figures(day.results, _healable(intents))
    if as_json:
        told = {"experiments": [result.to_json() for result in day.results], **shown}
        licences = {"licences_earned": day.earned, "licences_lost": day.lost}
        typer.echo(json.dumps({**told, **licences, "ended_early": day.ended}))
    else:
        for line in (*notes, *(f"{key}: {value}" for key, value in shown.items())):
            typer.echo(line)
    _end(day)


def print_report(
    path: Path, *, compare: Path | None, html: Path | None, junit: Path | None, as_json: bool
) -> None:
    settings = _ready(path)
    intents, results = _intents(settings), _results(settings).all()
    before = Results(compare).all() if compare is not None else ()
    changes = report.changed(before, results) if compare is not None else ()
    _write(results, _healable(intents), html, junit, (), changes)
    shown = report.figures(results, _healable(intents))
    if as_json:
        told = {"experiments": [result.to_json() for result in results], **shown}
        typer.echo(json.dumps({**told, "changes": changes}))
        return
    for line in (*(f"{key}: {value}" for key, value in shown.items()), *changes):
        typer.echo(line)


def _play(
    settings: Settings,
    token_file: Path | None,
    intents: Sequence[ResilienceIntent],
    repeat: int,
    *,
    as_json: bool,
) -> GameDay:
    hands = Hands(
        settings,
        Watched(settings, token_file),
        _shelf(settings),
        _results(settings),
        SystemClock(),
        lambda line: typer.echo(line, err=as_json),
    )

    async def play() -> GameDay:
        with _interruptible():
            return await GameDay().play(intents, repeat, hands)

    with _alone(settings.chaos.folder):
        return asyncio.run(play())


def _end(day: GameDay) -> None:
    """Exit code 0 only if everything was tried and has passed."""
    if day.ended or any(result.verdict is not Verdict.PASSED for result in day.results):
        raise typer.Exit(1)


def _write(
    results: Sequence[Result],
    healable: Mapping[str, bool],
    html: Path | None,
    junit: Path | None,
    notes: Sequence[str],
    changes: Sequence[str],
) -> None:
    if html is not None:
        page = report.page(results, healable, notes=notes, changes=changes)
        html.write_text(page, encoding="utf-8")
    if junit is not None:
        junit.write_text(report.junit(results), encoding="utf-8")


def _healable(intents: Sequence[ResilienceIntent]) -> Mapping[str, bool]:
    return {intent.name: intent.detected_within is not None for intent in intents}


def print_list(path: Path, *, as_json: bool) -> None:
    settings = _ready(path)
    results, inside = _results(settings).all(), _shelf(settings).all()
    if as_json:
        listed = [result.to_json() for result in results]
        typer.echo(json.dumps({"experiments": listed, "faults": [asdict(r) for r in inside]}))
        return
    table = Table(box=None, header_style="bright_black")
    for title in ("experiment", "intent", "subject", "verdict", "because"):
        table.add_column(title)
    for result in results:
        row = (result.experiment, result.intent, result.subject, result.verdict.value)
        table.add_row(*row, result.because)
    Console().print(table)
    for record in inside:
        typer.echo(f"in now: {record.does} (experiment of process {record.owner})")


def abort_all(path: Path, *, as_json: bool) -> None:
    settings = config.load(path)
    undone = sweep(_shelf(settings), MachineUptime(), everything=True)
    if as_json:
        typer.echo(json.dumps({"undone": [asdict(record) for record in undone]}))
        return
    for record in undone:
        typer.echo(f"undone: {record.does}")
    if not undone:
        typer.echo("no fault is in")


def _ready(path: Path) -> Settings:
    """The settings, with whatever an earlier experiment may have left behind undone."""
    settings = config.load(path)
    for record in sweep(_shelf(settings), MachineUptime()):
        typer.echo(f"left behind by another experiment, and undone: {record.does}", err=True)
    return settings


def _intents(settings: Settings) -> tuple[ResilienceIntent, ...]:
    """None yet is no mistake for who only looks."""
    return load_intents(settings.chaos.intents) if settings.chaos.intents.exists() else ()


def _chosen(settings: Settings, wanted: Sequence[str]) -> tuple[ResilienceIntent, ...]:
    intents = load_intents(settings.chaos.intents)
    known = {intent.name: intent for intent in intents}
    for name in wanted:
        if name not in known:
            raise ChaosError(f"there is no intent {name!r}", mend=f"there are: {', '.join(known)}")
    return tuple(known[name] for name in wanted) or intents


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One run at a time on a stack: the gate sees to faults, this to their runners."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ChaosError(
                "another run is under way", where=str(folder), mend="wait, or: vagus chaos abort"
            ) from error
        yield


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal cancel the experiment, which takes its fault out."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _shelf(settings: Settings) -> Shelf:
    return Shelf(settings.chaos.folder / "undo")


def _results(settings: Settings) -> Results:
    return Results(settings.chaos.folder / "results")
