"""Writes the pages of docs/reference/ that are made from the code.

    python scripts/generate_docs.py [--check]

| page | from |
|---|---|
| docs/reference/vagus.schema.json | the settings' types |
| docs/reference/vagus-yaml.md | the same, for people |
| docs/reference/cli.md | the command line's own help |
| docs/reference/http-api.md | the API's own OpenAPI |
| docs/reference/faults.md | the catalogue of faults, the playbooks, the tiers of the actions |
| docs/reference/guards.md | the gate's guards and their docstrings |
| docs/reference/experiments.md | the faults of experiments, and the guards of injections |
| docs/reference/rules.md | the facts that operators' rules may speak of |
| docs/reference/signals.md | the catalogue of signals and the engines' dialects |
| docs/reference/metrics.md | the catalogue of Vagus's own metrics |

docs/benchmarks.md is written by `python -m benchmarks docs`, from the last full runs.

With ``--check`` nothing is written; the exit code says whether a page is out of date. A test does
the same, so a setting can't be added without its line in the docs.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

import typer.main
import yaml
from typer.testing import CliRunner

from vagus import config
from vagus.api.application import openapi
from vagus.chaos import faults
from vagus.cli import app
from vagus.diagnosis.faults import FAULTS
from vagus.metrics import METRICS
from vagus.model import signals
from vagus.model.signals import RATIOS, SIGNALS, Instrument
from vagus.policy import injections
from vagus.policy.gate import GUARDS
from vagus.policy.injections import Around
from vagus.policy.rule_facts import CATALOGUE
from vagus.policy.tiers import FLOORS
from vagus.remediation import KINDS
from vagus.telemetry.dialects import dialects
from vagus.telemetry.rejections import Rejected

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
_NOTE = "<!-- Made by `make docs`. Don't edit: change what it is made from. -->\n\n"

Json = Mapping[str, object]


def pages() -> dict[Path, str]:
    """Path -> text of every generated page."""
    schema = config.json_schema()
    return {
        DOCS / "reference" / "vagus.schema.json": json.dumps(schema, indent=2) + "\n",
        DOCS / "reference" / "vagus-yaml.md": _NOTE + "".join(_settings(schema)),
        DOCS / "reference" / "cli.md": _NOTE + "".join(_commands()),
        DOCS / "reference" / "http-api.md": _NOTE + "".join(_http_api()),
        DOCS / "reference" / "faults.md": _NOTE + "".join(_faults()),
        DOCS / "reference" / "guards.md": _NOTE + "".join(_guards()),
        DOCS / "reference" / "rules.md": _NOTE + "".join(_rules()),
        DOCS / "reference" / "signals.md": _NOTE + "".join(_signals()),
        DOCS / "reference" / "metrics.md": _NOTE + "".join(_metrics()),
        DOCS / "reference" / "experiments.md": _NOTE + "".join(_experiments()),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the generated pages of docs/.")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    old = [p for p, text in pages().items() if not p.is_file() or p.read_text("utf-8") != text]
    for path in old:
        print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(pages()[path], encoding="utf-8")
    return 1 if check and old else 0


# --- settings -------------------------------------------------------------------------------------

_SETTINGS = """\
# vagus.yaml

Relative paths are relative to the file. An unknown key is a mistake, and so is a key that stands
twice. Quantities are written with their unit: `500ms`, `3s`, `10m`, `2h`, `30d` for durations,
`50%` for shares. A bare word is text, as in YAML 1.2: `off` is the word off.

Editors that know JSON Schema can use [vagus.schema.json](vagus.schema.json). An example that passes
`vagus check-config` is [examples/vagus.yaml](../../examples/vagus.yaml).
"""


def _settings(schema: Json) -> Iterator[str]:
    yield _SETTINGS
    definitions = schema["$defs"]
    assert isinstance(definitions, Mapping)
    pending: list[tuple[str, Json]] = [("", schema)]
    while pending:
        place, part = pending.pop(0)
        yield f"\n## {f'`{place}`' if place else 'Top level'}\n\n"
        if description := _described(part):
            yield f"{description}\n\n"
        yield "| key | is | default | |\n|---|---|---|---|\n"
        required, properties = part.get("required", []), part["properties"]
        assert isinstance(required, list)
        assert isinstance(properties, Mapping)
        for key, value in properties.items():
            kind, inner = _kind(value, definitions)
            default = "required" if key in required else _default(value)
            yield f"| `{key}` | {kind} | {default} | {_described(value)} |\n"
            if inner is not None:
                below, suffix = inner
                pending.append((f"{place}.{key}{suffix}".lstrip("."), below))


def _described(part: Json) -> str:
    """Its description, without what pydantic takes from docstrings for readers of the code."""
    return " ".join(str(part.get("description", "")).replace("``", "`").split())


def _kind(value: Json, definitions: Json) -> tuple[str, tuple[Json, str] | None]:
    """How to write a value, in words; and the mapping that stands below it, with its suffix."""
    if isinstance(choices := value.get("anyOf"), list):
        return _kind(next(c for c in choices if c.get("type") != "null"), definitions)
    if isinstance(reference := value.get("$ref"), str):
        target = definitions[reference.rpartition("/")[2]]
        assert isinstance(target, Mapping)
        if "enum" in target:
            return _one_of(target["enum"]), None
        return "mapping", (target, "")
    if "enum" in value:
        return _one_of(value["enum"]), None
    if isinstance(items := value.get("items"), Mapping):
        kind, inner = _kind(items, definitions)
        return f"list of {kind}", (inner[0], "[]") if inner else None
    if isinstance(items := value.get("additionalProperties"), Mapping):
        kind, inner = _kind(items, definitions)
        return f"mapping of names to {kind}", (inner[0], f".NAME{inner[1]}") if inner else None
    if isinstance(examples := value.get("examples"), list):
        return " or ".join(f"`{e}`" for e in examples), None
    kind = str(value.get("format", value["type"]))
    return {"string": "text", "boolean": "`true` or `false`"}.get(kind, kind), None


def _one_of(choices: object) -> str:
    assert isinstance(choices, list)
    return ", ".join(f"`{choice}`" for choice in choices)


def _default(value: Json) -> str:
    default = value.get("default")
    shown = json.dumps(default).replace('"', "")
    return "" if default in (None, [], {}) else f"`{shown}`"


# --- command line ---------------------------------------------------------------------------------

_COMMANDS = """\
# The command line

Exit codes: 0 done; 1 it failed, or not every fault healed; 2 a mistake in the configuration or in
the call; 3 the state can't be used; 4 another process took over; 130 Ctrl-C. An error is one line
on stderr: what is wrong, where, and the mend.
"""


def _commands() -> Iterator[str]:
    yield _COMMANDS
    for words in _command_lines(typer.main.get_command(app), []):
        shown = " ".join(["vagus", *words])
        answer = CliRunner().invoke(
            app, [*words, "--help"], prog_name="vagus", env={"COLUMNS": "96", "NO_COLOR": "1"}
        )
        lines = (line.rstrip() for line in answer.output.strip().splitlines())
        yield f"\n## `{shown}`\n\n```text\n" + "\n".join(lines) + "\n```\n"


def _command_lines(command: object, words: list[str]) -> Iterator[list[str]]:
    yield words
    below = getattr(command, "commands", {})
    for name in below:
        yield from _command_lines(below[name], [*words, name])


# --- HTTP API -------------------------------------------------------------------------------------

_API = """\
# The HTTP API

{about}
It listens on loopback, on `api.port`. The OpenAPI is at `/openapi.json`, without a token. What is
refused is a problem (`application/problem+json`, RFC 9457) with `detail` and, where there is one,
the `mend`:

```json
{problem}
```

Whatever is asked may be answered with 401 (no valid token), 403 (the role is too low), 413 (a body
of more than 64 KiB), 421 (the host is not one of Vagus's), 422 (it does not fit) or 429 (too many
requests; `Retry-After` says when). Lists give `next`, the `cursor` of the page that follows.
How to get a token: [Tokens](../how-to/tokens.md).
"""


def _http_api() -> Iterator[str]:
    schema = openapi()
    schemas = schema["components"]["schemas"]
    problem = json.dumps(schemas["Problem"]["examples"][0])
    yield _API.format(about=schema["info"]["description"], problem=problem)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            yield f"\n## `{method.upper()} {path}`\n\n"
            role = operation.get("x-role")
            yield f"{_described(operation)} Role: {role or 'none needed'}.\n"
            yield from _parameters(operation.get("parameters", []))
            if "requestBody" in operation:
                body = schemas[_named(operation["requestBody"]["content"]["application/json"])]
                yield f"\n```json\n{json.dumps(_example(body))}\n```\n"
                yield from _fields(body)
            for status, answer in operation["responses"].items():
                content = answer.get("content", {}).get("application/json", {}).get("schema", {})
                if status.startswith("2") and "$ref" in content:
                    yield from _answer(status, _named({"schema": content}), schemas)


def _parameters(parameters: list[Json]) -> Iterator[str]:
    shown = [p for p in parameters if p["in"] != "path"]
    if shown:
        yield "\n| parameter | |\n|---|---|\n"
    for parameter in shown:
        kind = parameter["schema"]
        assert isinstance(kind, Mapping)
        default = f", default `{kind['default']}`" if kind.get("default") is not None else ""
        about = parameter.get("description", "")
        yield f"| `{parameter['name']}` ({parameter['in']}) | {about}{default} |\n"


def _answer(status: str, name: str, schemas: Mapping[str, Json]) -> Iterator[str]:
    page = name.startswith("Page_")
    item = name.removeprefix("Page_").rstrip("_") if page else name
    many = "a page of " if page else ""
    keys = schemas[item]["properties"]
    assert isinstance(keys, Mapping)
    listed = ", ".join(f"`{key}`" for key in keys)
    yield f"\nAnswers {status} with {many}{item.removesuffix('View')}: {listed}.\n"


def _fields(body: Json) -> Iterator[str]:
    required, properties = body.get("required", []), body["properties"]
    assert isinstance(required, list)
    assert isinstance(properties, Mapping)
    about = [(key, _described(value)) for key, value in properties.items()]
    optional = [key for key in properties if key not in required]
    for key, text in about:
        if text:
            yield f"\n`{key}`: {text}.\n"
    if optional:
        yield f"\nMay be left out: {', '.join(f'`{key}`' for key in optional)}.\n"


def _example(body: Json) -> dict[str, object]:
    properties = body["properties"]
    assert isinstance(properties, Mapping)
    return {key: value["examples"][0] for key, value in properties.items() if "examples" in value}


def _named(content: Json) -> str:
    schema = content["schema"]
    assert isinstance(schema, Mapping)
    return str(schema["$ref"]).rpartition("/")[2]


# --- catalogues -----------------------------------------------------------------------------------

_FAULTS = """\
# Faults, playbooks and actions

## Faults

In order of precedence: a fault that explains more comes first. Playbooks are data, in
[planning/playbooks](../../src/vagus/planning/playbooks/). Traffic is taken away before anything is
treated, and a treatment is tried only if the ones before it did not help.

| fault | shown by | also explains | contain | treat, in order | return |
|---|---|---|---|---|---|
"""
_ACTIONS = """\

## Actions

The tier says who decides: up to R2 Vagus does; R3 needs a person, R4 two; R5 is never automated. On
a component that keeps data, whatever touches a process is R3 at least.

| action | tier | |
|---|---|---|
"""
_GUARDS = """\
# The guards of the gate

Every action passes the gate. All guards are asked, the strictest answer wins, and every answer goes
into the ledger with its numbers. A guard that breaks denies.
"""
_SIGNALS = """\
# Signals

What Vagus keeps, under one name for all engines. Names follow OpenTelemetry's conventions where
there is one. `engine` in `vagus.yaml` picks the dialect that maps an engine's metrics onto them;
`metrics` adds a mapping of your own, in the form of the
[dialect files](../../src/vagus/telemetry/dialects/).

Every signal is kept of each replica, apart for what the server says of itself, what the gateway and
probes meet, and what is
[pushed](../how-to/send-otlp.md). Of a component there is, beside what was
pushed in its name, each latency that callers met by cohort (`x-user-cluster`), up to 32 of them.
Versions of a model and routes have no series of their own; engines behind one address (data
parallel) are put together.

*Worse* is the direction that is bad. A deviation below the *floor* doesn't matter, however unlikely
it is. Counters are judged by their rate per second, distributions by their middle and tail. Labels
are put together as said under *of many*.

| signal | unit | kind | read as | worse | floor | of many | told by |
|---|---|---|---|---|---|---|---|
"""
_RATIOS = """\

## Ratios

Made by Vagus where an engine tells the parts and not the ratio: of counters, what both grew by in a
tick.

| ratio | of | among |
|---|---|---|
"""
_DIALECTS = """\

## Dialects

*Verified*: checked against a recording of a real server. Of the others the names are those that the
engine's own code or documents give; tell us if yours says otherwise.

| engine | verified | signals |
|---|---|---|
"""


def _faults() -> Iterator[str]:
    yield _FAULTS
    folder = resources.files("vagus.planning") / "playbooks"
    books = [yaml.safe_load(file.read_text("utf-8")) for file in folder.iterdir()]
    by_fault = {book["fault"]: book for book in books}
    for fault in FAULTS.values():
        book = by_fault[fault.name]
        also = ", ".join(symptom.value for symptom in fault.also)
        contain, treat = (", ".join(book.get(key, ())) or "-" for key in ("contain", "treat"))
        shown_by = fault.shown_by.value if fault.shown_by is not None else "a rollout"
        shown = f"`{fault.name}` | {shown_by} | {also}"
        yield f"| {shown} | {contain} | {treat} | {book.get('return', 'gradual')} |\n"
    yield _ACTIONS
    for name, tier in FLOORS.items():
        does = (inspect.getdoc(KINDS[name]) or "").partition("\n\n")[0].replace("\n", " ")
        yield f"| `{name}` | {tier.name} | {does} |\n"


def _guards() -> Iterator[str]:
    yield _GUARDS
    for guard in GUARDS:
        yield f"\n## {guard.__name__.replace('_', ' ')}\n\n"
        yield (inspect.getdoc(guard) or "").replace("``", "`") + "\n"


_EXPERIMENTS = """\
# Faults of experiments

What `disturbance` may name in [`intents.yaml`](../how-to/run-experiments.md). Each is an entry
point of the group `vagus.faults`, so a package of yours can add others: an object with the
attributes and methods of [`vagus.chaos.faults.Fault`](../../src/vagus/chaos/faults/__init__.py).
A fault with parameters is written `{fault: NAME, PARAMETER: VALUE}`.

| fault | does | parameters, unless you say otherwise | needs | rightly diagnosed as |
|---|---|---|---|---|
"""
_INJECTIONS = """
## Guards of injections

What the gate asks before a fault is put in. Those in the first line are the
[guards of remedies](guards.md): they mean the same here.

"""
_PARAMETERS = {"bad-version": "`version`, which has to be given", "cpu-quota": "`share: 0.1`"}


def _experiments() -> Iterator[str]:
    yield _EXPERIMENTS
    for name in faults.names():
        fault = faults.load(name)
        if type(fault).__module__.startswith("vagus."):
            known = ", ".join(f"`{k}: {v:g}`" for k, v in getattr(fault, "known", {}).items())
            causes = ", ".join(f"`{cause}`" for cause in sorted(fault.causes)) or "nothing"
            known = _PARAMETERS.get(name, known) or "none"
            yield f"| `{name}` | {fault.title} | {known} | {fault.needs} | {causes} |\n"
    yield _INJECTIONS
    around = Around((), (), (), budget=config.Settings.model_fields["chaos"].get_default(
        call_default_factory=True
    ).budget, cap=1.0)  # fmt: skip
    asked = injections.guards(around)
    own = [guard for guard in asked if guard not in GUARDS]
    yield ", ".join(g.__name__.replace("_", " ") for g in asked if g in GUARDS) + ".\n"
    for guard in own:
        said = (inspect.getdoc(guard) or "").replace("\n", " ")
        yield f"\n**{guard.__name__.replace('_', ' ')}.** {said}\n"


_RULES = """\
# Operators' rules

A rule is a condition over the facts of a request, and what follows if it holds. The file is named
as `policy.rules` in `vagus.yaml`. How to write and try them:
[Write rules](../how-to/write-rules.md).

## The file

| key | is | |
|---|---|---|
| `timezone` | text, `UTC` unless given | of `hour`, `weekday` and `date` |
| `rules` | list | all are asked, always |
| `rules[].name` | name | what it is called in the ledger, and by people |
| `rules[].when` | text | the condition, in CEL, the Common Expression Language |
| `rules[].then` | `deny`, `allow`, `{raise: R3}`, `{ask: {approvers: 2, group: dba}}` | follows |
| `rules[].because` | text | said to whoever is refused or asked |

`deny` wins over everything. `ask` wants that many distinct people, of the group of
`policy.approvers` or, without a group, of all who may approve; several rules that ask are all to be
satisfied. `raise` makes the request one of that tier at least: R3 asks one person, R4 two, R5
denies. `allow` says that somebody thought of this case; it takes nothing away from another rule or
guard.

Recoveries (traffic that is given back, an undo) pass without being asked about.

## Facts

Whole numbers and decimals are different types: `confidence < 1.0`, not `confidence < 1`.

| fact | type | tells | one of |
|---|---|---|---|
"""
_REFUSED = """\

## What is refused when rules are loaded

With the file and the line, and the column where it is in a condition: a condition that does not
compile, or is not true or false; a fact that does not exist; a word that a fact can never be
(`action == 'restrat'`, faults and components included); a group without people, or one that is
smaller than what is asked of it; two rules with the same condition of which only one can be meant;
a name that is given twice. Vagus does not start with rules that it can't read.

## What denies when rules are asked

A condition that can't be answered: it speaks of a fact that is not known, divides by zero, or
breaks in any other way. The ruling names the rule. Ask `error_budget_left_known && ...` first.
"""


def _rules() -> Iterator[str]:
    yield _RULES
    kinds = {str: "text", int: "whole number", float: "decimal", bool: "true or false"}
    for name, fact in CATALOGUE.items():
        words = ", ".join(f"`{word}`" for word in fact.values)
        yield f"| `{name}` | {kinds[fact.kind]} | {fact.what} | {words} |\n"
    yield _REFUSED


def _signals() -> Iterator[str]:
    yield _SIGNALS
    for signal in SIGNALS.values():
        told = [
            dialect.engine
            for dialect in dialects().values()
            if any(m.signal == signal.name for many in dialect.metrics.values() for m in many)
        ]
        by = ", ".join([*_ALSO_TOLD_BY.get(signal.name, _told_by(signal.name)), *sorted(told)])
        kind = f"{signal.kind.value} | {signal.instrument.value} | {signal.worse.value}"
        unit = signal.unit.strip("{}")
        many = "" if signal.instrument is Instrument.TALLY else signal.combine.value
        yield f"| `{signal.name}` | {unit} | {kind} | {signal.floor:g} | {many} | {by} |\n"
    yield _RATIOS
    for name, ratio in RATIOS.items():
        whole = " + ".join(f"`{part}`" for part in ratio.whole)
        yield f"| `{name}` | `{ratio.part}` | {whole} |\n"
    yield _DIALECTS
    for dialect in sorted(dialects().values(), key=lambda d: d.engine):
        known = {m.signal for many in dialect.metrics.values() for m in many}
        shown = ("yes" if dialect.verified else "*no*") if known else ""
        yield f"| `{dialect.engine}` | {shown} | {len(known) or 'none of its own'} |\n"


_METRICS = """\
# Vagus's own metrics

`/metrics` on `api.port` (9190) gives these in Prometheus's text format, to anybody on loopback
([how to watch Vagus](../how-to/watch-vagus.md)), and `telemetry.export` pushes them by OTLP.

Counters begin at zero with the process, unless they are said to be kept. While the state can't be
reached, what only the state knows is left out, and `vagus_state_reachable` is 0.

| metric | labels | type | unit | by OTLP | |
|---|---|---|---|---|---|
"""


def _metrics() -> Iterator[str]:
    yield _METRICS
    for metric in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        unit = metric.unit.strip("{}")
        yield (
            f"| `{metric.name}` | {labels} | {metric.type.value} | {unit} | `{metric.otel_name}` "
            f"| {metric.help} |\n"
        )
    yield "\n## Reasons of `vagus_rejections_total`\n\n"
    yield ", ".join(f"`{reason.value}`" for reason in Rejected) + ".\n"


_ALSO_TOLD_BY = {
    signals.TIME_TO_FIRST_TOKEN: ["gateway", "probes"],
    signals.TIME_PER_TOKEN: ["probes"],
    signals.DURATION: ["gateway", "probes"],
}


def _told_by(signal: str) -> list[str]:
    if signal in RATIOS:
        return ["Vagus"]
    if signal.startswith(("vagus.client.", "gen_ai.client.", "db.client.")):
        return ["OTLP"]
    return ["gateway"] if signal.startswith("vagus.gateway.") else []


if __name__ == "__main__":
    sys.exit(main())
