"""What people are asked, say and are told, as sentences."""

from __future__ import annotations

import pytest

from vagus.narrative import narrate

LICENCE = {
    "action": "replace",
    "component": "chat",
    "fault": "",
    "issued_by": "ada",
    "manual": True,
    "reason": "rehearsed",
}


@pytest.mark.parametrize(
    ("event", "facts", "tone", "says"),
    [
        (
            "planned",
            {"ladder": ["eject", "replace", "restart"], "reasons": ["restart healed 0 of 9"]},
            "plan",
            "plan: eject, then replace, then restart (restart healed 0 of 9)",
        ),
        ("planned", {"ladder": ["eject"], "reasons": []}, "plan", "plan: eject"),
        (
            "restored",
            {"note": "the state was restored from a backup", "head": "12:abc", "intents": 0},
            "ask",
            "the state was restored from a backup (up to entry 12)",
        ),
        ("learned", {"record": "restart healed 3 of 4 times"}, "info", "healed 3 of 4"),
        (
            "licence.issued",
            LICENCE,
            "good",
            "licence (by hand, ada): replace on chat may act alone for any fault: rehearsed",
        ),
        (
            "licence.issued",
            {**LICENCE, "manual": False, "issued_by": "vagus", "fault": "replica-hung"},
            "good",
            "licence (earned, vagus): replace on chat may act alone for replica-hung",
        ),
        (
            "licence.revoked",
            {**LICENCE, "because": "replace made chat/chat-2 worse"},
            "bad",
            "replace on chat lost its licence: replace made chat/chat-2 worse",
        ),
        (
            "notify.failed",
            {"target": "pager", "tries": 16, "why": "it answered 503", "title": "Vagus asks"},
            "bad",
            "pager could not be told (16 tries, it answered 503): Vagus asks",
        ),
        ("stopped", {"by": "ada", "reason": "freeze"}, "ask", "kill switch set by ada: freeze"),
        ("resumed", {"by": "ada"}, "info", "kill switch lifted by ada"),
        ("mode", {"mode": None, "by": "ada", "reason": "over"}, "info", "mode as configured"),
    ],
)
def test_events_are_sentences(event: str, facts: dict[str, object], tone: str, says: str) -> None:
    line = narrate(event, facts)
    assert line.tone == tone
    assert says in line.text
