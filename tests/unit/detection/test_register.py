"""Findings open and close once, not in a stream."""

from __future__ import annotations

from vagus.detection.reading import Reading, State
from vagus.detection.register import Register
from vagus.model import Sense, Subject, Symptom

CHAT_1, CHAT_10 = Subject("chat", "chat-1"), Subject("chat", "chat-10")


def bad(seen_at: float) -> Reading:
    return Reading(
        Symptom.HUNG, Sense.GATEWAY, State.BAD, sentence="it hangs", samples=5, seen_at=seen_at
    )


def good(since: float) -> Reading:
    return Reading(Symptom.HUNG, Sense.GATEWAY, State.GOOD, since=since)


def test_what_was_refuted_is_not_opened_again_by_the_same_evidence() -> None:
    register = Register()
    assert register.apply(CHAT_1, bad(10.0), now=10.0) is not None
    closed = register.apply(CHAT_1, good(11.0), now=12.0)
    assert closed is not None
    assert closed.closed_at == 12.0
    assert register.apply(CHAT_1, bad(10.0), now=12.1) is None
    assert register.all() == ()


def test_a_younger_bad_piece_opens_it_anew() -> None:
    register = Register()
    register.apply(CHAT_1, bad(10.0), now=10.0)
    register.apply(CHAT_1, good(11.0), now=12.0)
    assert register.apply(CHAT_1, bad(13.0), now=13.0) is not None


def test_health_older_than_the_last_bad_piece_closes_nothing() -> None:
    register = Register()
    register.apply(CHAT_1, bad(10.0), now=10.0)
    assert register.apply(CHAT_1, good(9.0), now=12.0) is None
    assert len(register.all()) == 1


def test_another_process_starts_with_a_clean_slate() -> None:
    register = Register()
    for subject in (CHAT_1, CHAT_10):
        register.apply(subject, bad(10.0), now=10.0)
        register.apply(subject, good(11.0), now=12.0)
    assert list(register.close_all(CHAT_1, 13.0)) == []
    assert register.apply(CHAT_1, bad(10.0), now=14.0) is not None
    assert register.apply(CHAT_10, bad(10.0), now=14.0) is None
