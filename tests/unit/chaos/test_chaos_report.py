"""What experiments showed, in figures, as a page and for a build server."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vagus.chaos import report
from vagus.chaos.result import Damage, Result, Results, Timeline, Verdict
from vagus.errors import ChaosError

PASSED = Result(
    experiment="exp-1",
    intent="chat-survives",
    fault="kill",
    subject="chat/chat-1",
    verdict=Verdict.PASSED,
    because="recovered after 20.0 s",
    began_at=1_000_000.0,
    ended_at=1_000_030.0,
    injected_at=1_000_005.0,
    does="SIGKILL to process group 7",
    injection="inj-1",
    incident="inc-1",
    diagnosis="replica-gone",
    diagnosed_rightly=True,
    timeline=Timeline(1.0, 1.2, 1.2, 1.5, 2.0, 15.0, 20.0),
    remedies=("eject", "restart"),
    damage={"rag": Damage(20.0, 1.0, 2.5)},
    guards=({"guard": "calm", "decision": "allow", "reason": "no incident is open"},),
)
DEVIATED = replace(
    PASSED,
    experiment="exp-2",
    fault="slow",
    verdict=Verdict.DEVIATED,
    because="not detected within 10 s",
    diagnosis="",
    diagnosed_rightly=None,
    timeline=Timeline(),
    remedies=(),
    harmed_elsewhere=("embed/embed-1",),
)
REFUSED = replace(
    DEVIATED, experiment="exp-3", verdict=Verdict.REFUSED, injected_at=None, harmed_elsewhere=()
)
QUIET = replace(DEVIATED, experiment="exp-4", intent="lies", fault="scrape-lying",
                verdict=Verdict.PASSED, harmed_elsewhere=())  # fmt: skip
ALL = (PASSED, DEVIATED, REFUSED, QUIET)
HEALABLE = {"chat-survives": True, "lies": False}


def test_shares_are_of_what_could_say_something() -> None:
    assert report.figures(ALL, HEALABLE) == {
        "faults": 3,
        "detected_share": 0.5,
        "healed_share": 0.5,
        "diagnosed_share": 1.0,
        "harmed_elsewhere": 1,
    }


def test_a_share_of_nothing_is_none() -> None:
    shown = report.figures((REFUSED,), HEALABLE)
    assert (shown["detected_share"], shown["faults"]) == (None, 0)


class Loads(HTMLParser):
    """Whatever a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{tag} {k}" for k, _ in attrs if k in ("src", "href", "data", "action")]


def test_the_page_loads_nothing_and_escapes_what_it_shows() -> None:
    nasty = replace(PASSED, because="<script>alert(1)</script>", subject="a&b")
    text = report.page((nasty, *ALL), HEALABLE, notes=["<i>"], changes=["<b>"])
    loads = Loads()
    loads.feed(text)
    assert loads.found == []
    assert "<script>" not in text
    assert "&lt;i&gt;" in text
    assert "recovered 20.0 s" in text


def test_junit_tells_failures_from_what_was_not_tried() -> None:
    suite = ET.fromstring(report.junit(ALL))
    told = {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")}
    assert told == {"tests": "4", "failures": "1", "errors": "0", "skipped": "1"}
    assert [[child.tag for child in case] for case in suite] == [[], ["failure"], ["skipped"], []]


@pytest.mark.parametrize("because", ["a\x00b", "<&>\"'", "\x1b[31m", "zeile\nzeile"])
def test_junit_is_xml_whatever_was_said(because: str) -> None:
    ET.fromstring(report.junit([replace(DEVIATED, because=because)]))


def test_what_changed_since_the_last_time() -> None:
    before = (PASSED, QUIET)
    after = (DEVIATED, replace(PASSED, intent="new"))
    assert report.changed(before, after) == (
        "chat-survives: passed before, deviated now",
        "new: passed, for the first time",
        "lies: was not tried again",
    )


def test_results_are_read_back_as_they_were(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for result in ALL:
        results.put(result)
    assert sorted(results.all(), key=lambda r: r.experiment) == list(ALL)


def test_a_result_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "exp-1.result.json").write_text(json.dumps({"verdict": "splendid"}))
    with pytest.raises(ChaosError, match="exp-1"):
        Results(tmp_path).all()
