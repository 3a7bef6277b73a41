"""Each occasion's message says what is needed to decide, in a title that says whether to get up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.config import Occasion
from vagus.model import (
    Cause,
    Check,
    Decision,
    Finding,
    GuardRuling,
    Incident,
    IncidentState,
    Intent,
    IntentState,
    Purpose,
    Remedy,
    Request,
    Ruling,
    Sense,
    Subject,
    Symptom,
    Tier,
)
from vagus.notify import templates
from vagus.notify.templates import FINDINGS_SHOWN, Case, occasion_of

CHAT_2 = Subject("chat", "chat-2")
CAUSE = Cause("replica-hung", CHAT_2, 0.92, "chat-2 answers nobody")
INCIDENT = Incident("i-7", CHAT_2, CAUSE, IncidentState.ESCALATED, 1_700_000_000.0)


def finding(n: int, closed_at: float | None = None) -> Finding:
    return Finding(
        CHAT_2, Symptom.HUNG, Sense.GATEWAY, 0.0, 0.0, f"finding {n}", closed_at=closed_at
    )


def intent(action: str, state: IntentState, note: str = "", refused: str = "") -> Intent:
    remedy, check = Remedy(action, CHAT_2), Check(CHAT_2, 3, 5.0, 60.0)
    request = Request(Purpose.TREAT, "i-7", 1, 1, 1, remedy, CAUSE, Tier.R1)
    said = (GuardRuling("budget", Decision.DENY, refused),) if refused else ()
    ruling = Ruling(Decision.DENY if refused else Decision.ALLOW, said)
    return Intent(request, ruling, state, check, 0.0, note=note)


def test_an_escalation_says_why_what_is_seen_what_was_tried_and_where_to_look() -> None:
    case = Case(
        INCIDENT,
        [finding(1), finding(2, closed_at=5.0)],
        [
            intent("eject", IntentState.APPLIED),
            intent("restart", IntentState.FAILED, note="the supervisor refuses"),
            intent("replace", IntentState.REFUSED, refused="1 of 1 is spent"),
        ],
    )
    message = templates.escalated(case, {"note": "nothing on the ladder helped"})
    assert message.title == "Vagus needs a person: replica-hung on chat/chat-2"
    assert message.body.splitlines() == [
        "Why: nothing on the ladder helped",
        "Taken for the cause: replica-hung, 92% sure. chat-2 answers nobody",
        "Still seen:",
        "- finding 1",
        "Tried:",
        "- eject chat/chat-2: applied",
        "- restart chat/chat-2: failed, the supervisor refuses",
        "- replace chat/chat-2: refused, budget: 1 of 1 is spent",
        "Look at chat/chat-2, and at: vagus incidents i-7",
    ]


def test_many_findings_are_counted_not_listed() -> None:
    case = Case(INCIDENT, [finding(n) for n in range(FINDINGS_SHOWN + 3)])
    body = templates.escalated(case, {}).body
    assert body.count("- finding") == FINDINGS_SHOWN
    assert "- and 3 more" in body
    assert "Nothing was tried." in body


def test_an_action_says_what_was_done_for_which_cause() -> None:
    facts = {"action": "replace", "target": "chat/chat-2", "tier": "R2", "note": ""}
    message = templates.acted(Case(INCIDENT), facts)
    assert message.title == "Vagus acted (R2): chat/chat-2 is replaced"
    assert "replica-hung: chat-2 answers nobody" in message.body
    assert "vagus incidents i-7" in message.body


def test_an_end_says_what_was_done_and_how_long_it_took() -> None:
    over = replace(INCIDENT, state=IncidentState.RESOLVED, closed_at=INCIDENT.opened_at + 42.4)
    done = [intent("eject", IntentState.APPLIED), intent("restart", IntentState.REFUSED)]
    message = templates.resolved(Case(over, [], done), {"note": "3 probes in a row are good"})
    assert message.title == "Resolved: replica-hung on chat/chat-2"
    assert "3 probes in a row are good" in message.body
    assert "2023-11-14 22:13:20 UTC, 42 s" in message.body
    assert "- eject chat/chat-2" in message.body
    assert "restart" not in message.body


@pytest.mark.parametrize(
    ("event", "facts", "title"),
    [
        ("stopped", {"by": "ada", "reason": "freeze"}, "Vagus stands still: freeze"),
        ("resumed", {"by": "ada"}, "Vagus goes on"),
        ("mode", {"by": "ada", "mode": "auto", "reason": "r"}, "Vagus's mode is now auto"),
        ("mode", {"by": "ada", "mode": None, "reason": "r"}, "Vagus's mode is now as configured"),
    ],
)
def test_levers_say_who_and_why(event: str, facts: dict[str, object], title: str) -> None:
    message = templates.stopped(event, facts)
    assert message.title == title
    assert "by ada" in message.body


@pytest.mark.parametrize(
    ("event", "facts", "occasion"),
    [
        ("applied", {"tier": "R1"}, None),
        ("applied", {"tier": "R2"}, Occasion.ACTED),
        ("applied", {"tier": "R4"}, Occasion.ACTED),
        ("applied", {}, None),
        ("proposed", {}, Occasion.PROPOSED),
        ("escalated", {}, Occasion.ESCALATED),
        ("resolved", {}, Occasion.RESOLVED),
        ("stopped", {}, Occasion.STOPPED),
        ("notify.failed", {}, None),  # else a target that is away would be told that it is away
        ("learned", {}, None),
        ("finding.opened", {}, None),
    ],
)
def test_what_is_news(event: str, facts: dict[str, object], occasion: Occasion | None) -> None:
    assert occasion_of(event, facts) == occasion
