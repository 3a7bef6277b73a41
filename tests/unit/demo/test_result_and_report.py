"""The demo's figures and its report."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from vagus.demo.faults import FAULTS, choose
from vagus.demo.report import render
from vagus.demo.result import DemoResult, FaultResult, RequestSeen, count_requests
from vagus.errors import LabError


def requests() -> tuple[RequestSeen, ...]:
    return (
        RequestSeen(1.0, 0.2, ""),
        RequestSeen(2.0, None, "HTTP 502"),
        RequestSeen(3.0, 4.0, ""),
        RequestSeen(4.0, 0.3, "cut"),
        RequestSeen(9.0, 0.2, ""),
    )


def fault(*, healed: bool) -> FaultResult:
    return FaultResult(
        fault="kill",
        title="SIGKILL of <a replica>",
        replica="chat-1",
        injected=1.5,
        detected_s=0.4,
        safe_s=0.5,
        healed_s=6.0 if healed else None,
        requests=4,
        failed=2,
        slow=1,
        healed=healed,
        actions=("eject", "restart"),
        story=((0.4, "probe: chat-1 refuses <connections>"),),
    )


def test_requests_are_counted_by_when_they_were_asked() -> None:
    assert count_requests(requests(), 1.5, 8.0, slow_after=2.0) == (3, 2, 1)


def test_json_has_the_published_names_and_no_others() -> None:
    result = DemoResult((fault(healed=True), fault(healed=False)), requests(), "auto", 1.7e9)
    data = result.to_json()
    assert data["healed"] == 1
    assert data["total"] == 2
    assert not result.all_healed
    faults = data["faults"]
    assert isinstance(faults, list)
    assert list(faults[0]) == [
        "fault", "detected_s", "safe_s", "healed_s", "requests", "failed", "slow", "healed",
        "actions",
    ]  # fmt: skip


def test_a_demo_without_faults_did_not_heal_anything() -> None:
    assert not DemoResult((), (), "auto", 0.0).all_healed


class _Balanced(HTMLParser):
    VOID = frozenset({"meta", "path", "circle", "rect", "polyline"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_report_is_well_formed_self_contained_and_inert() -> None:
    page = render(DemoResult((fault(healed=True),), requests(), "auto", 1.7e9))
    parser = _Balanced()
    parser.feed(page.replace("<meta charset='utf-8'>", "").replace(
        "<meta name='viewport' content='width=device-width'>", ""))  # fmt: skip
    assert parser.open == []
    assert "SIGKILL of <a replica>" in " ".join(parser.text)
    assert "src=" not in page
    assert "href=" not in page
    assert "<script" not in page


def test_a_report_without_any_answer_still_renders() -> None:
    assert "<svg" in render(DemoResult((fault(healed=False),), (), "auto", 1.7e9))


def test_faults_are_chosen_by_name_and_in_order() -> None:
    assert [f.name for f in choose(["cut", "kill"], everything=False)] == ["cut", "kill"]
    assert len(choose([], everything=False)) == 6
    assert choose([], everything=True) == FAULTS
    with pytest.raises(LabError, match="no fault named 'flood'"):
        choose(["flood"], everything=False)
