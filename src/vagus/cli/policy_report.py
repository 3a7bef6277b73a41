"""What ``vagus policy`` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from vagus import config
from vagus.cli.report import open_state
from vagus.config import Settings
from vagus.errors import ConfigError
from vagus.rulebook import Outcome, read_rules, try_out
from vagus.state.incidents import Incidents
from vagus.state.ledger import Entry, Ledger
from vagus.state.records import encode

_STYLES = {"deny": "red", "ask": "yellow", "allow": "green"}


def check_rules(file: Path | None, path: Path, *, as_json: bool) -> None:
    settings = _settings(path, needed=file is None)
    if file is None:
        assert settings is not None, "needed, so it was read"
        file = settings.policy.rules
        if file is None:
            raise ConfigError(
                "names no rules", where=str(path), mend="give a file, or set policy.rules"
            )
    rules = read_rules(file, settings)
    if as_json:
        checked = {"ok": True, "rules": len(rules.rules), "digest": rules.digest}
        typer.echo(json.dumps(checked | {"groups_checked": settings is not None}))
        return
    typer.echo(f"{file}: good: {len(rules.rules)} rules, digest {rules.digest[:12]}")
    if settings is None:
        typer.echo(f"groups and components were not checked: there is no {path}")


def test_rules(file: Path, path: Path, *, as_json: bool) -> None:
    outcomes = try_out(file, _settings(path, needed=False))
    failed = [outcome for outcome in outcomes if not outcome.passed]
    if as_json:
        cases = [_as_json(outcome) for outcome in outcomes]
        typer.echo(json.dumps({"cases": cases, "failed": len(failed)}))
    else:
        for outcome in failed:
            for line in _difference(outcome, file):
                typer.echo(line)
        typer.echo(f"{file}: {len(outcomes) - len(failed)} of {len(outcomes)} cases pass")
    if failed:
        raise typer.Exit(1)


def _difference(outcome: Outcome, file: Path) -> Iterator[str]:
    facts = ", ".join(f"{name} {value}" for name, value in outcome.facts.items())
    yield f"{file}:{outcome.line}: {outcome.name}"
    for wrong in outcome.wrong:
        yield f"  {wrong}"
    yield f"  because  {outcome.ruling.reason}"
    yield f"  given    {facts or 'nothing of its own'}"


def _as_json(outcome: Outcome) -> Mapping[str, object]:
    return {
        "name": outcome.name,
        "line": outcome.line,
        "passed": outcome.passed,
        "decision": outcome.ruling.decision.name.lower(),
        "rules": list(outcome.rules),
        "reason": outcome.ruling.reason,
        "wrong": list(outcome.wrong),
    }


def _settings(path: Path, *, needed: bool) -> Settings | None:
    return config.load(path) if needed or path.exists() else None


# --- explain --------------------------------------------------------------------------------------


def explain_incident(path: Path, incident_id: str, *, everything: bool, as_json: bool) -> None:
    with closing(open_state(path)) as database:
        incident = Incidents(database).get(incident_id)
        entries = Ledger(database).of_incident(incident_id)
    decided = [entry for entry in entries if entry.event == "decided"]
    if as_json:
        requests = [{"token": e.step, "at": e.at, **e.facts} for e in decided]
        typer.echo(json.dumps({"incident": encode(incident), "requests": requests}))
        return
    typer.echo(f"{incident.id}: {incident.cause.fault} on {incident.subject}, "
               f"{incident.state.value}")  # fmt: skip
    if not decided:
        typer.echo("nothing was asked of the gate")
    for entry in decided:
        _print_request(Console(), entry, everything=everything)


def _print_request(console: Console, entry: Entry, *, everything: bool) -> None:
    facts = entry.facts
    decision = str(facts.get("decision"))
    console.print(
        f"\n{entry.step}: {facts.get('action')} {facts.get('target')} to {facts.get('purpose')}, "
        f"{facts.get('tier')}: [{_STYLES.get(decision, 'none')}]{decision}[/]",
        highlight=False,
    )
    guards = _guards(facts)
    shown = [said for said in guards if everything or said["decision"] != "allow"]
    for said in shown:
        name, ruled = str(said["guard"]), str(said["decision"])
        style = _STYLES.get(ruled, "none")
        line = f"  [{style}]{ruled:<5}[/]  {name:<15} {escape(str(said['reason']))}"
        console.print(line, highlight=False, soft_wrap=True)
        if numbers := _numbers(said):
            console.print(f"{'':25}{numbers}", style="bright_black", soft_wrap=True)
    others = len(guards) - len(shown)
    if others:
        console.print(f"  {others} guards allow it (--all shows them)", style="bright_black")


def _guards(facts: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    guards = facts.get("guards")
    return guards if isinstance(guards, list) else []


def _numbers(said: Mapping[str, object]) -> str:
    numbers = said.get("numbers")
    if not isinstance(numbers, dict):
        return ""
    return ", ".join(f"{name} {value:g}" for name, value in numbers.items())
