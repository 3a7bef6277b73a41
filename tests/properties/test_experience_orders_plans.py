"""Whatever the records, a plan is the playbook's, but for what is clearly worse than another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vagus.model import Outcome, Remedy, Subject, TrackRecord, Trial
from vagus.planning.track_record import arrange, clearly_worse

CHAT_1 = Subject("chat", "chat-1")
NAMES = ("restart", "replace", "rebuild", "roll-back")
counts = st.integers(0, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
experience = st.fixed_dictionaries(dict.fromkeys(NAMES, counts))


def record(action: str, healed: int, of: int) -> TrackRecord:
    outcomes = [Outcome.HEALED] * healed + [Outcome.UNCHANGED] * (of - healed)
    return TrackRecord.of(
        action,
        "slow",
        "chat",
        [
            Trial(str(n), float(n), action, "slow", CHAT_1, "default", outcome, 1.0)
            for n, outcome in enumerate(outcomes)
        ],
    )


@given(experience)
def test_the_order_is_the_playbooks_unless_the_record_is_clear(
    known: dict[str, tuple[int, int]],
) -> None:
    records = {name: record(name, *count) for name, count in known.items()}
    ladder = [Remedy(name, CHAT_1) for name in NAMES]
    arranged, reasons = arrange(ladder, records.__getitem__)
    places = {remedy.action: place for place, remedy in enumerate(arranged)}
    assert sorted(places) == sorted(NAMES)
    moved = 0
    for place, one in enumerate(NAMES):
        for other in NAMES[place + 1 :]:
            if clearly_worse(records[one], records[other]):
                assert places[other] < places[one]
            elif places[other] < places[one]:
                # It was passed only because something that is clearly better had to come first.
                assert any(clearly_worse(records[one], records[better]) for better in NAMES)
        moved += any(clearly_worse(records[one], records[o]) for o in NAMES[place + 1 :])
    assert len(reasons) == moved
    if not moved:
        assert list(arranged) == ladder
    again, _ = arrange(arranged, records.__getitem__)
    assert again == arranged


@given(counts, counts)
def test_nothing_is_clearly_worse_than_what_is_clearly_worse_than_it(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    first, second = record("restart", *one), record("replace", *other)
    assert not (clearly_worse(first, second) and clearly_worse(second, first))
    assert not clearly_worse(first, first)
