"""A result reads the same as a table, as JSON and as a page."""

from __future__ import annotations

import importlib
import inspect
import io
import json

import pytest
from rich.console import Console

from benchmarks import NAMES
from benchmarks import __main__ as main
from benchmarks.report import Options, Provenance, Report, Result, markdown, print_table, shown

RESULT = Result(
    benchmark="reaction",
    columns={"fault": "fault", "bad": "bad", "safe_s": "safe after s"},
    rows=[
        {"fault": "kill", "bad": 2, "safe_s": 0.1234, "runs": 3},
        {"fault": "slow", "bad": 1000, "safe_s": None, "runs": 3},
    ],
    figures={"vagus_safe_s_max": 0.1234},
    notes=["left out: Prometheus: not installed"],
    nothing={"safe_s": "never"},
)
REPORT = Report(RESULT, Provenance("2026-01-02T03:04:05Z", "2 cores of X", "abc"), quick=False)


def test_json_has_what_is_compared_over_time_and_reads_back() -> None:
    text = REPORT.to_json()
    read = json.loads(text)
    assert {"benchmark", "date", "machine", "commit", "rows", "figures"} <= read.keys()
    assert read["figures"] == {"vagus_safe_s_max": 0.1234}
    assert read["rows"][1]["safe_s"] is None
    assert Report.from_json(text) == REPORT


def test_the_table_says_what_is_missing_in_the_benchmarks_words() -> None:
    console = Console(file=io.StringIO(), width=80)
    print_table(REPORT, console)
    assert isinstance(console.file, io.StringIO)
    table = console.file.getvalue()
    assert "never" in table
    assert "0.123" in table
    assert "1,000" in table
    assert "- left out: Prometheus: not installed" in table
    assert "runs" not in table


def test_the_page_quotes_date_machine_and_commit() -> None:
    page = markdown([(REPORT, "How soon.")])
    assert "How soon." in page
    assert "Measured 2026-01-02 at commit `abc` on 2 cores of X." in page
    assert "| kill | 2 | 0.123 |" in page
    assert "| slow | 1,000 | never |" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (4.0, "4"), (12.34, "12.3"), (123456.7, "123,457"), (1234, "1,234")],
)
def test_three_digits_are_enough(value: float, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("name", ["Vagus_safe", "safe-s", "safe s", ""])
def test_a_figure_that_is_not_snake_case_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="snake_case"):
        Result("x", {}, [], {name: 1.0})


def test_only_chooses_by_a_word_of_the_label() -> None:
    assert Options().wants("vagus:kill")
    assert Options(only=("kill",)).wants("vagus:kill")
    assert not Options(only=("stop", "slow")).wants("vagus:kill")


@pytest.mark.parametrize("name", NAMES)
def test_every_benchmark_can_be_run_and_says_what_it_measures(name: str) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    assert list(inspect.signature(module.run).parameters) == ["options"]
    assert len(inspect.getdoc(module) or "") > 100


def test_the_page_in_docs_is_that_of_the_last_full_runs() -> None:
    assert main.DOCS.read_text(encoding="utf-8") == main.page()
