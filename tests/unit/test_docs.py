"""The docs say what the code does: generated pages are current, links lead somewhere."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vagus import config

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def generator() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "generate_docs.py"))


@pytest.fixture
def links() -> Callable[[Path], Iterator[str]]:
    script = runpy.run_path(str(ROOT / "scripts" / "check_links.py"))
    found: Callable[[Path], Iterator[str]] = script["broken_links"]
    found.__globals__["ROOT"] = Path("/")
    return found


def test_generated_pages_are_up_to_date(generator: dict[str, Any]) -> None:
    pages: dict[Path, str] = generator["pages"]()
    assert ROOT / "docs" / "reference" / "vagus.schema.json" in pages
    for path, text in pages.items():
        shown = path.relative_to(ROOT)
        assert path.is_file(), f"{shown} is missing: make docs"
        assert path.read_text(encoding="utf-8") == text, f"{shown} is out of date: make docs"


def test_every_setting_is_described() -> None:
    schema: dict[str, Any] = config.json_schema()
    for name, part in {"Settings": schema, **schema["$defs"]}.items():
        for key, field in part.get("properties", {}).items():
            if name != "Rate":  # written as text: '1 per week'
                assert field.get("description"), f"{name}.{key}"


def test_every_default_is_shown_as_it_would_be_written() -> None:
    """What the schema calls the default has to pass the validator that the schema describes."""
    schema: dict[str, Any] = config.json_schema()
    properties = {
        section: schema["$defs"][model]["properties"]
        for section, model in {
            "policy": "PolicySettings",
            "healing": "HealingSettings",
            "telemetry": "TelemetrySettings",
            "api": "ApiSettings",
        }.items()
    }
    written = {
        section: {key: field["default"] for key, field in fields.items() if field.get("default")}
        for section, fields in properties.items()
    }
    stack = {"chat": {"kind": "cache"}}
    assert config.Settings.model_validate({"stack": stack, **written}) == config.Settings(
        stack={"chat": config.Component(kind=config.Kind.CACHE)}
    )


def test_broken_links_are_found(tmp_path: Path, links: Callable[[Path], Iterator[str]]) -> None:
    page = tmp_path / "page.md"
    (tmp_path / "other.md").write_text("# One `two`, three\n\n```\n# no heading\n```\n")
    page.write_text(
        "[ok](other.md) [ok](other.md#one-two-three) [ok](#here) [ok](https://example.org/x)\n"
        "`[code](missing.md)`\n# Here\n[gone](missing.md)\n[gone](other.md#no-heading)\n"
    )
    errors = list(links(page))
    assert [error.rpartition(": ")[2] for error in errors] == ["no such file", "no such heading"]
    assert ":4: missing.md" in errors[0]
    assert ":5: other.md#no-heading" in errors[1]


def test_the_architecture_names_every_module() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "vagus"
    names = {f.name for f in package.glob("*.py")} | {
        f"{f.parent.name}/" for f in package.glob("*/__init__.py")
    }
    assert [name for name in sorted(names - {"__init__.py"}) if f"`{name}`" not in text] == []


def test_links_lead_somewhere() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "check_links.py"))
    assert [error for page in script["_pages"]() for error in script["broken_links"](page)] == []


def test_yaml_in_the_docs_that_is_a_whole_configuration_passes() -> None:
    """Blocks that start with ``stack:`` are what people copy."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    blocks = [
        block
        for page in pages
        for block in re.findall(
            r"^```yaml\n(stack:\n.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
        )
        if "kind:" in block
    ]
    assert len(blocks) >= 2
    for block in blocks:
        config.parse(block)
