"""Writes the pages of docs/ that are made from the code and from measurements.

    python scripts/generate_docs.py [--check]

| page | from |
|---|---|
| docs/reference/vagus.schema.json | the settings' types |
| docs/reference/vagus-yaml.md | the same, for people |
| docs/reference/cli.md | the command line's own help |
| docs/benchmarks.md | the JSON of the last full benchmark runs, in benchmarks/results/ |

With ``--check`` nothing is written; the exit code says whether a page is out of date. A test does
the same, so a setting can't be added without its line in the docs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import typer.main
from typer.testing import CliRunner

from vagus import config
from vagus.cli import app

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
RESULTS = ROOT / "benchmarks" / "results"
_NOTE = "<!-- Made by `make docs`. Don't edit: change what it is made from. -->\n\n"

Json = Mapping[str, object]


def pages() -> dict[Path, str]:
    """Path -> text of every generated page."""
    schema = config.json_schema()
    return {
        DOCS / "reference" / "vagus.schema.json": json.dumps(schema, indent=2) + "\n",
        DOCS / "reference" / "vagus-yaml.md": _NOTE + "".join(_settings(schema)),
        DOCS / "reference" / "cli.md": _NOTE + "".join(_commands()),
        DOCS / "benchmarks.md": _NOTE + "".join(_benchmarks()),
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


def _settings(schema: Json) -> Iterator[str]:
    yield "# vagus.yaml\n\n"
    yield "Relative paths are relative to the file. An unknown key is a mistake, and so is a key\n"
    yield "that stands twice. Quantities are written with their unit: `500ms`, `3s`, `10m`, `2h`,\n"
    yield "`30d` for durations, `50%` for shares. Editors that know JSON Schema can use\n"
    yield "[vagus.schema.json](vagus.schema.json). An example that passes `vagus check-config` is\n"
    yield "[examples/vagus.yaml](../../examples/vagus.yaml).\n"
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
        return f"mapping of names to {kind}", (inner[0], ".NAME") if inner else None
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


def _commands() -> Iterator[str]:
    yield "# The command line\n\n"
    yield "Exit codes: 0 done; 1 it failed, or not every fault healed; 2 a mistake in the\n"
    yield "configuration or in the call; 3 the state can't be used; 4 another process took over;\n"
    yield "130 Ctrl-C. An error is one line on stderr: what is wrong, where, and the mend.\n"
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


# --- benchmarks -----------------------------------------------------------------------------------


def _benchmarks() -> Iterator[str]:
    yield "# Benchmarks\n\nWhat the last full run of `make bench` measured: ours beside the\n"
    yield "peers, on the same work in the same run. Each figure's name ends in its unit. Run them\n"
    yield "with `make bench`; `make bench BENCH_ARGS=--quick` ends sooner and is less exact.\n"
    runs = [json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    if not runs:
        yield "\nNo full run is recorded yet.\n"
    for run in runs:
        yield f"\n## {run['benchmark']}\n\n"
        yield f"{run['date']}, commit {run['commit']}, {_machine(run['machine'])}.\n\n"
        yield from _table(run["rows"])
        yield "\n| figure | |\n|---|---|\n"
        yield from (f"| `{name}` | {_cell(value)} |\n" for name, value in run["figures"].items())


def _table(rows: list[dict[str, object]]) -> Iterator[str]:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    if columns:
        yield f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for row in rows:
        yield f"| {' | '.join(_cell(row.get(column)) for column in columns)} |\n"


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_cell(part) for part in value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "" if value is None else str(value)


def _machine(machine: object) -> str:
    if isinstance(machine, Mapping):
        return ", ".join(f"{key} {value}" for key, value in machine.items())
    return str(machine)


if __name__ == "__main__":
    sys.exit(main())
