"""``vagus report``: a stretch of time on one page, as Markdown; a terminal shows the same page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.markdown import Markdown

from vagus import config
from vagus.cli.moments import moment_of
from vagus.cli.report import open_state
from vagus.clock import SystemClock
from vagus.config import Mode
from vagus.model import Decision, IntentState
from vagus.review import Asked, Case, Graduation, Review, Run, review, times
from vagus.state.controls import Controls
from vagus.state.records import encode

_BECAME = {
    IntentState.SHADOW: "let pass, and not done: shadow",
    IntentState.WRITTEN: "let pass, and not begun",
    IntentState.ACTING: "begun",
    IntentState.APPLIED: "done",
    IntentState.FAILED: "tried, and it failed",
    IntentState.UNDONE: "done, and taken back",
}


def print_review(path: Path, *, since: str, as_markdown: bool, as_json: bool) -> None:
    settings, now = config.load(path), SystemClock().now()
    with closing(open_state(path)) as database:
        chosen = Controls(database).mode()
        mode = Mode(chosen) if chosen in tuple(Mode) else settings.mode
        found = review(database, mode, moment_of(since, now, "--since"), now)
    if as_json:
        typer.echo(json.dumps(encode(found)))
    elif as_markdown:
        typer.echo(markdown(found), nl=False)
    else:
        Console().print(Markdown(markdown(found)))


def markdown(found: Review) -> str:
    """The page."""
    return "".join(_page(found))


def _page(found: Review) -> Iterator[str]:
    yield f"# Vagus, {_time(found.since)} to {_time(found.until)}\n\n"
    states = ", ".join(f"{count} {state}" for state, count in found.states.items())
    yield f"Mode now: `{found.mode.value}`. {len(found.cases)} incidents"
    yield f" ({states}).\n" if states else ".\n"
    yield from _starts(found.runs)
    yield from _overview(found.cases)
    if found.cases:
        acted = any(asked.was_done for case in found.cases for asked in case.asked)
        yield f"\n## {'What was done' if acted else 'What would have been done'}, and why\n"
    for case in found.cases:
        yield from _case(case)
    for graduation in found.graduations:
        yield from _graduation(graduation)
    yield "\n## What can't be known from this\n\n"
    yield from (f"- {sentence}\n" for sentence in found.unknown)


def _starts(runs: Sequence[Run]) -> Iterator[str]:
    if not runs:
        return
    quiet = max((run.quiet for run in runs if run.quiet is not None), default=0.0)
    silence = f"; before a start nothing was recorded for {_span(quiet)}" if quiet else ""
    yield f"Vagus was started {times(len(runs))}{silence}.\n"


def _overview(cases: Sequence[Case]) -> Iterator[str]:
    if not cases:
        return
    yield "\n| incident | opened | where | fault | lasted | became of it |\n"
    yield "|---|---|---|---|---|---|\n"
    for case in cases:
        incident = case.incident
        lasted = "lasts still" if case.lasted is None else _span(case.lasted)
        yield _row(
            incident.id,
            _time(incident.opened_at),
            str(incident.subject),
            f"{incident.cause.fault} ({incident.cause.confidence:.0%})",
            lasted,
            case.outcome,
        )


def _case(case: Case) -> Iterator[str]:
    incident = case.incident
    what = f"{incident.cause.fault} on {incident.subject}"
    yield f"\n### {incident.id}: {what}, {_time(incident.opened_at)}\n\n"
    yield from (f"- {sentence}\n" for sentence in case.why)
    if not case.asked:
        yield "\nNothing was asked of the gate.\n"
        return
    yield "\n| | tier | takes | what became of it | in auto |\n|---|---|---|---|---|\n"
    for asked in case.asked:
        again = f" ({times(asked.times)})" if asked.times > 1 else ""
        takes = "" if asked.takes is None else f"{asked.takes:.0%} of {asked.target.component}"
        what = f"{asked.purpose.value}: {asked.action} {asked.target.replica}{again}"
        yield _row(what, asked.tier, takes, _became(asked), _in_auto(asked))


def _became(asked: Asked) -> str:
    if asked.state in _BECAME:
        return _BECAME[asked.state]
    return _against(asked.decision, [f"{said.guard}: {said.reason}" for said in asked.against])


def _in_auto(asked: Asked) -> str:
    return _against(asked.in_auto, [said.guard for said in asked.against_in_auto])


def _against(decision: Decision, reasons: Sequence[str]) -> str:
    word = {Decision.ALLOW: "alone", Decision.ASK: "asks", Decision.DENY: "refused"}[decision]
    return f"{word} ({'; '.join(reasons)})" if reasons and decision is not Decision.ALLOW else word


def _graduation(graduation: Graduation) -> Iterator[str]:
    alone, asking, refused = graduation.alone, graduation.asking, graduation.refused
    yield f"\n## In `{graduation.mode.value}`\n\n"
    if not (alone or asking or refused):
        yield "Nothing was asked for, so there is nothing to say.\n"
        return
    yield (
        f"Of {len(alone) + len(asking) + len(refused)} actions, {len(alone)} would have been done "
        f"alone, {len(asking)} after people said yes, {len(refused)} not at all.\n\n"
    )
    yield "| action | alone | asks | refused | stands in the way |\n|---|---|---|---|---|\n"
    for action in sorted({asked.action for asked in (*alone, *asking, *refused)}):
        mine = [[a for a in kind if a.action == action] for kind in (alone, asking, refused)]
        guards = Counter(
            said.guard for kind in mine[1:] for asked in kind for said in asked.against_in_auto
        )
        named = ", ".join(f"{guard} {count}" for guard, count in guards.most_common())
        yield _row(action, *(str(len(kind)) for kind in mine), named)


def _row(*cells: str) -> str:
    """A row of a table; what is told may hold anything."""
    shown = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(shown)} |\n"


def _span(seconds: float) -> str:
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")
