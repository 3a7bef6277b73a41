"""``vagus report`` over a state that the real gate wrote into, with a clock of the test's own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vagus.cli import app
from vagus.cli.review_report import markdown
from vagus.clock import ManualClock
from vagus.config import Mode
from vagus.errors import ConfigError
from vagus.model import (
    Cause,
    Check,
    Decision,
    Finding,
    Incident,
    IncidentState,
    Intent,
    IntentState,
    Purpose,
    Sense,
    Subject,
    Symptom,
)
from vagus.policy.facts import Facts
from vagus.policy.gate import judge
from vagus.review import Review, review
from vagus.state.db import open_database
from vagus.state.incidents import Incidents
from vagus.state.intents import Intents
from vagus.state.ledger import Ledger
from vagus.testing.cases import CHAT, a_request, some_facts

HOUR = 3600.0


class Week:
    """A state, and what happened in it."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(time.time() - 7 * 24 * HOUR)
        self.database = open_database(f"sqlite:///{folder / 'vagus.db'}", self.clock)
        self.incidents = Incidents(self.database)
        self.intents = Intents(self.database)
        self.ledger = Ledger(self.database)
        self.mode = Mode.SHADOW
        self.rungs = 0

    def start(self) -> None:
        step = f"start:{self.clock.now()}"
        self.ledger.append("vagus", step, "started", {"mode": self.mode.value})

    def incident(self, target: Subject = CHAT[0], fault: str = "replica-hung") -> Incident:
        now = self.clock.now()
        found = Finding(target, Symptom.HUNG, Sense.PROBE, now, now, f"{target} | hangs")
        return self.incidents.open(target, Cause(fault, target, 0.9), [found])

    def ask(
        self,
        incident: Incident,
        action: str = "restart",
        purpose: Purpose = Purpose.TREAT,
        **changes: object,
    ) -> Intent:
        self.rungs += 1
        asked = a_request(action, purpose=purpose, target=incident.subject, rung=self.rungs)
        request = replace(asked, incident=incident.id)
        facts = self.facts(incident, **changes)
        return self.intents.decide(
            request,
            Check(request.remedy.target, 3, 5.0, 60.0),
            lambda: judge(request, facts),
            shadow=self.mode is Mode.SHADOW,
        )

    def facts(self, incident: Incident, **changes: object) -> Facts:
        findings = tuple(
            Finding(incident.subject, Symptom.HUNG, sense, 999_990.0, 999_999.0, "hangs")
            for sense in (Sense.PROBE, Sense.GATEWAY)
        )
        return some_facts(mode=self.mode, findings=findings, **changes)

    def ends(self, incident: Incident, state: IncidentState, after: float) -> None:
        self.clock.advance(after)
        self.incidents.update(self.incidents.get(incident.id), state=state, note="as noted")

    def review(self, days: float = 8.0) -> Review:
        now = self.clock.now()
        return review(self.database, self.mode, now - days * 24 * HOUR, now + 1.0)


@pytest.fixture
def week(tmp_path: Path) -> Iterator[Week]:
    (tmp_path / "vagus.yaml").write_text("stack: {chat: {kind: model-server}}\n")
    week = Week(tmp_path)
    yield week
    week.database.close()


def a_week_in_shadow(week: Week) -> tuple[Incident, Incident]:
    week.start()
    week.clock.advance(HOUR)
    first = week.incident()
    week.ask(first, "eject", Purpose.CONTAIN)
    week.ask(first, stopped=None)
    week.ends(first, IncidentState.SHADOWED, 1.0)
    week.ends(first, IncidentState.SUBSIDED, 42.0)
    week.clock.advance(24 * HOUR)
    week.start()
    second = week.incident(CHAT[1])
    crowded = {"ejected": frozenset({CHAT[0]})}
    week.ask(second, "eject", Purpose.CONTAIN, **crowded)
    week.ask(second, "eject", Purpose.CONTAIN, **crowded)
    week.ends(second, IncidentState.SHADOWED, 1.0)
    return first, second


def test_what_would_have_been_done_and_what_became_of_it_by_itself(week: Week) -> None:
    first, second = a_week_in_shadow(week)
    found = week.review()
    assert [case.incident.id for case in found.cases] == [first.id, second.id]
    subsided, lasting = found.cases
    assert subsided.lasted == pytest.approx(43.0)
    assert subsided.outcome == "the evidence went away, and nothing had been touched"
    assert lasting.lasted is None
    assert lasting.outcome == "lasts still, untouched"
    eject, restart = subsided.asked
    assert (eject.action, eject.purpose, eject.state) == (
        "eject",
        Purpose.CONTAIN,
        IntentState.SHADOW,
    )
    assert eject.takes == pytest.approx(1 / 3)
    assert eject.in_auto is Decision.ALLOW
    assert restart.action == "restart"
    (refused,) = lasting.asked  # asked twice, told once
    assert refused.times == 2
    assert refused.in_auto is Decision.DENY
    assert [said.guard for said in refused.against_in_auto] == ["capacity_floor"]
    assert found.states == {"shadowed": 1, "subsided": 1}


def test_starts_and_how_long_it_had_been_quiet(week: Week) -> None:
    a_week_in_shadow(week)
    first, second = week.review().runs
    assert (first.mode, first.quiet) == ("shadow", None)
    assert second.quiet == pytest.approx(25 * HOUR + 43.0)


def test_what_the_next_modes_would_change(week: Week) -> None:
    a_week_in_shadow(week)
    suggest, auto = week.review().graduations
    assert (suggest.mode, auto.mode) == (Mode.SUGGEST, Mode.AUTO)
    total = {a.action for a in (*suggest.asking, *suggest.refused)}
    assert total == {"eject", "restart"}
    assert suggest.alone == ()
    assert len(suggest.refused) == len(auto.refused) == 1
    assert "eject" in {asked.action for asked in auto.alone}
    assert len(suggest.asking) == len(auto.alone) + len(auto.asking)


def test_suggest_asked_because_of_the_mode_alone_is_alone_in_auto(week: Week) -> None:
    week.mode = Mode.SUGGEST
    incident = week.incident()
    intent = week.ask(incident, "eject", Purpose.CONTAIN)
    assert intent.ruling.decision is Decision.ASK
    (auto,) = week.review().graduations
    assert [asked.action for asked in auto.alone] == ["eject"]
    assert auto.asking == ()


def test_auto_has_nothing_to_graduate_to_and_says_what_it_did(week: Week) -> None:
    week.mode = Mode.AUTO
    incident = week.incident()
    intent = week.ask(incident, "eject", Purpose.CONTAIN)
    assert week.intents.begin(intent.token)
    week.intents.finish(intent.token, IntentState.APPLIED)
    week.ends(incident, IncidentState.RESOLVED, 9.0)
    found = week.review()
    assert found.graduations == ()
    assert found.cases[0].outcome == "healed and verified, after eject chat-1"
    page = markdown(found)
    assert "## What was done, and why" in page
    assert "| contain: eject chat-1 | R1 | 33% of chat | done | alone |" in page


def test_only_the_time_that_was_asked_for_and_what_lasts_into_it(week: Week) -> None:
    old = week.incident(CHAT[2])
    week.ends(old, IncidentState.SUBSIDED, 1.0)
    week.clock.advance(1.0)
    lasting = week.incident(CHAT[2], "replica-gone")
    week.clock.advance(3 * 24 * HOUR)
    new = week.incident()
    assert [c.incident.id for c in week.review(days=1).cases] == [lasting.id, new.id]


def test_more_incidents_than_a_page_holds(week: Week) -> None:
    for _ in range(205):
        week.ends(week.incident(), IncidentState.SUBSIDED, 1.0)
    assert len(week.review().cases) == 205


def test_an_empty_week_says_what_it_can_not_say(week: Week) -> None:
    page = markdown(week.review())
    assert "0 incidents." in page
    assert "Incidents that Vagus did not notice are not in here" in page
    assert "Nothing was asked for, so there is nothing to say." in page


# --- as it is typed -------------------------------------------------------------------------------


def vagus(tmp_path: Path, *words: str) -> Result:
    call = ["report", *words, "-c", str(tmp_path / "vagus.yaml")]
    return CliRunner().invoke(app, call)


def test_the_page_as_markdown(week: Week, tmp_path: Path) -> None:
    first, second = a_week_in_shadow(week)
    result = vagus(tmp_path, "--since", "30d", "--markdown")
    assert result.exit_code == 0, result.output
    page = result.output
    assert "Mode now: `shadow`. 2 incidents (1 shadowed, 1 subsided)." in page
    assert "started 2 times; before a start nothing was recorded for 25 h." in page
    assert f"### {first.id}: replica-hung on chat/chat-1" in page
    assert "- chat/chat-1 | hangs" in page
    assert "let pass, and not done: shadow" in page
    assert "| contain: eject chat-2 (2 times) | R1 |" in page
    assert "refused (capacity_floor" in page
    assert "## In `suggest`" in page
    assert "## In `auto`" in page
    assert "- Whether an action would have helped." in page
    assert f"| {second.id} |" in page
    assert "lasts still" in page


def test_in_a_terminal_the_same_page(week: Week, tmp_path: Path) -> None:
    first, _ = a_week_in_shadow(week)
    result = vagus(tmp_path, "--since", "30d")
    assert result.exit_code == 0, result.output
    assert first.id in result.output
    assert "What can't be known from this" in result.output


def test_for_machines(week: Week, tmp_path: Path) -> None:
    a_week_in_shadow(week)
    told = json.loads(vagus(tmp_path, "--since", "30d", "--json").output)
    assert [graduation["mode"] for graduation in told["graduations"]] == ["suggest", "auto"]
    assert len(told["cases"]) == 2
    assert told["cases"][0]["asked"][0]["in_auto"] == "ALLOW"


def test_a_time_that_is_none(week: Week, tmp_path: Path) -> None:
    result = vagus(tmp_path, "--since", "lately")
    assert isinstance(result.exception, ConfigError)
    assert "'lately' is neither a duration nor a time (write it as 12h" in str(result.exception)
