"""What it takes to open a finding, and what it takes to close one, a rule at a time."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vagus.detection.reflexes import Reflexes
from vagus.model import Evidence, Failure, Finding, Sense, Subject, Symptom
from vagus.testing.evidence import answer, in_flight, probe, scrape, stack

TOPOLOGY = stack(chat=3, embed=2, rag=1)
ONE, TWO, THREE = (Subject("chat", f"chat-{n}") for n in (1, 2, 3))
EMBED_ONE, EMBED_TWO = (Subject("embed", f"embed-{n}") for n in (1, 2))
T = 1_700_000_000.0


class Watched:
    """Reflexes with a memory of what they said."""

    def __init__(self) -> None:
        self.reflexes = Reflexes(lambda: TOPOLOGY)
        self.said: list[Finding] = []

    def see(self, *batch: Evidence, at: float | None = None) -> Sequence[Finding]:
        self.reflexes.observe(batch)
        changes = self.reflexes.evaluate(max(e.at for e in batch) if at is None else at)
        self.said.extend(changes)
        return changes

    def look(self, at: float) -> Sequence[Finding]:
        changes = self.reflexes.evaluate(at)
        self.said.extend(changes)
        return changes

    def open(self) -> set[tuple[str, Symptom, Sense]]:
        return {(f.subject.replica, f.symptom, f.sense) for f in self.reflexes.open_findings()}


@pytest.fixture
def watched() -> Watched:
    """All chat replicas have answered for three seconds, 16 times a second, up to ``T``."""
    watched = Watched()
    for step in range(48):
        at = T - 3 + step / 16
        watched.see(*(answer(subject, at) for subject in (ONE, TWO, THREE)))
    assert watched.said == []
    return watched


BAD_ROWS = [
    (Failure.SERVER_ERROR, Symptom.ERRORING, 4),
    (Failure.RESET, Symptom.ERRORING, 4),
    (Failure.TRUNCATED, Symptom.CUTTING, 4),
    (Failure.WRONG_TYPE, Symptom.WRONG_SHAPE, 4),
    (Failure.TIMEOUT, Symptom.HUNG, 4),
    (Failure.REFUSED, Symptom.GONE, 3),
]


@pytest.mark.parametrize(("failure", "symptom", "needed"), BAD_ROWS)
def test_few_bad_rows_in_a_row_open_a_finding(
    watched: Watched, failure: Failure, symptom: Symptom, needed: int
) -> None:
    for count in range(1, needed):
        watched.see(answer(TWO, T + count * 0.06, failure))
        assert watched.open() == set()
        assert TWO in watched.reflexes.suspects()
    (finding,) = watched.see(answer(TWO, T + needed * 0.06, failure))
    assert (finding.subject, finding.symptom, finding.sense) == (TWO, symptom, Sense.GATEWAY)
    assert finding.samples == needed
    assert finding.since == T + 0.06
    assert "chat-2" in finding.sentence
    assert f"{needed} of its last {needed} requests" in finding.sentence


@pytest.mark.parametrize(("failure", "symptom", "needed"), BAD_ROWS)
def test_two_rows_are_enough_when_a_probe_failed_as_well(
    watched: Watched, failure: Failure, symptom: Symptom, needed: int
) -> None:
    watched.see(answer(TWO, T + 0.1, failure))
    watched.see(probe(TWO, T + 0.2, failure))
    assert watched.open() == set()
    watched.see(answer(TWO, T + 0.3, failure))
    assert watched.open() == {("chat-2", symptom, Sense.GATEWAY)}


@pytest.mark.parametrize(("failure", "symptom", "needed"), BAD_ROWS)
def test_two_bad_probes_in_a_row_are_a_finding_of_their_own(
    watched: Watched, failure: Failure, symptom: Symptom, needed: int
) -> None:
    watched.see(probe(TWO, T + 10, failure))
    assert watched.open() == set()
    assert TWO in watched.reflexes.suspects()
    watched.see(probe(TWO, T + 10.5, failure))
    assert watched.open() == {("chat-2", symptom, Sense.PROBE)}


def test_probes_that_fail_differently_each_time_need_three(watched: Watched) -> None:
    watched.see(probe(TWO, T + 1, Failure.TRUNCATED))
    watched.see(probe(TWO, T + 2, Failure.RESET))
    assert watched.open() == set()
    watched.see(probe(TWO, T + 3, Failure.REFUSED))
    assert watched.open() == {("chat-2", Symptom.GONE, Sense.PROBE)}


def test_half_of_the_requests_failing_is_found_within_ten(watched: Watched) -> None:
    rows = 0
    while not watched.open():
        rows += 1
        failure = Failure.SERVER_ERROR if rows % 2 else None
        watched.see(answer(TWO, T + rows * 0.06, failure))
        assert rows <= 10


def test_what_fails_everywhere_is_no_replicas_fault(watched: Watched) -> None:
    """A poisonous request that every replica answers with 500, one time in three."""
    for step in range(300):
        failure = Failure.SERVER_ERROR if step % 3 == 0 else None
        watched.see(*(answer(s, T + step * 0.06, failure) for s in (ONE, TWO, THREE)))
    assert watched.said == []


def test_streams_that_broke_by_one_blow_are_one_event(watched: Watched) -> None:
    watched.see(*(answer(TWO, T + 0.001 * n, Failure.TRUNCATED) for n in range(12)))
    assert watched.open() == set()
    assert TWO in watched.reflexes.suspects()


def test_a_row_read_twice_is_one_row(watched: Watched) -> None:
    for n in range(20):
        watched.see(answer(TWO, T + 0.1, Failure.SERVER_ERROR, id="once"), at=T + 0.1 * n)
    assert watched.said == []


def test_suspicion_is_lifted_by_good_rows_and_by_good_probes(watched: Watched) -> None:
    watched.see(answer(TWO, T, Failure.RESET))
    for n in range(1, 5):
        watched.see(answer(TWO, T + n * 0.1))
    assert watched.reflexes.suspects() == frozenset()
    watched.see(answer(TWO, T + 1, Failure.RESET))
    for n in range(1, 4):
        watched.see(probe(TWO, T + 1 + n * 0.5))
    assert watched.reflexes.suspects() == frozenset()


@pytest.mark.parametrize(
    ("kind", "content_type", "received_bytes", "sick"),
    [
        ("chat", "text/html; charset=utf-8", 400, True),
        ("chat", "application/json", 0, True),
        ("chat", "application/json", 400, False),
        ("chat", "text/event-stream; charset=utf-8", 400, False),
        ("embed", "text/html", 400, True),
        ("embed", "application/json; charset=utf-8", 4000, False),
        ("rag", "text/html", 400, True),
        ("rag", "text/event-stream", 400, False),
    ],
)
def test_the_shape_of_answers(
    kind: str, content_type: str, received_bytes: int, sick: bool
) -> None:
    watched = Watched()
    subject = Subject(kind, f"{kind}-1")
    for n in range(8):
        watched.see(
            answer(
                subject,
                T + 0.1 * n,
                content_type=content_type,
                received_bytes=received_bytes,
            )
        )
    expected = {(subject.replica, Symptom.WRONG_SHAPE, Sense.GATEWAY)} if sick else set()
    assert watched.open() == expected


def test_a_caller_that_goes_away_accuses_nobody(watched: Watched) -> None:
    for n in range(20):
        left = answer(TWO, T + 0.05 * n, status=0, received_bytes=0, first=0.05, duration=0.05)
        watched.see(left)
    assert watched.said == []


# --- hung


def test_attempts_that_stand_still_while_siblings_go_on(watched: Watched) -> None:
    watched.see(in_flight(TWO, T, T, id="a"), in_flight(TWO, T + 0.1, T + 0.1, id="b"), at=T + 0.1)
    for n in range(1, 11):
        watched.see(answer(ONE, T + 0.1 * n), answer(THREE, T + 0.1 * n))
    watched.see(in_flight(TWO, T, T + 1, id="a"), in_flight(TWO, T + 0.1, T + 1.1, id="b"))
    found = {f.symptom for f in watched.reflexes.open_findings()}
    assert Symptom.HUNG in found
    hung = next(f for f in watched.said if f.symptom is Symptom.HUNG)
    assert hung.samples == 2
    assert hung.since == T
    assert "2 of 2 requests in flight stand still" in hung.sentence


def test_if_siblings_stand_still_as_well_it_is_not_this_replica(watched: Watched) -> None:
    for second in range(6):
        at = T + second
        watched.see(
            *(in_flight(s, T, at, id=f"{s}-{k}") for s in (ONE, TWO, THREE) for k in range(3))
        )
    assert watched.said == []


def test_a_full_server_is_not_a_dead_one(watched: Watched) -> None:
    """Six wait without a byte for eight seconds; two others stream all the while."""
    for second in range(9):
        at = T + second
        waiting = [in_flight(TWO, T, at, id=f"w{k}") for k in range(6)]
        streams = [in_flight(TWO, T, at, 100 * (second + 1), id=f"s{k}") for k in range(2)]
        watched.see(
            *waiting, *streams, answer(ONE, at), answer(THREE, at), scrape(TWO, at, waiting=6)
        )
    assert [f for f in watched.said if f.symptom is Symptom.HUNG] == []


def test_a_log_that_is_not_read_on_is_not_a_hang(watched: Watched) -> None:
    watched.see(*(in_flight(TWO, T, T, id=f"r{k}") for k in range(5)))
    for n in range(100):
        watched.look(T + 0.1 * n)
    assert watched.said == []


def test_an_attempt_whose_end_was_lost_is_dropped(watched: Watched) -> None:
    watched.see(*(in_flight(TWO, T, T, id=f"r{k}") for k in range(5)))
    for n in range(1, 160):
        watched.see(*(answer(s, T + n * 0.06) for s in (ONE, THREE)))
        watched.see(answer(TWO, T + n * 0.06))
    assert watched.open() == set()
    assert watched.reflexes.suspects() == frozenset()


def test_work_in_progress_without_a_step_is_hung(watched: Watched) -> None:
    for n in range(5):
        watched.see(scrape(TWO, T + n, running=2, steps=77))
    assert watched.open() == set()
    watched.see(scrape(TWO, T + 5, running=2, steps=77))
    assert watched.open() == {("chat-2", Symptom.HUNG, Sense.SCRAPE)}


@pytest.mark.parametrize(("running", "step"), [(0.0, 0.0), (2.0, 1.0)])
def test_idle_or_stepping_is_not_hung(watched: Watched, running: float, step: float) -> None:
    for n in range(30):
        watched.see(scrape(TWO, T + n, running=running, steps=77 + step * n))
    assert watched.said == []


def test_timeouts_of_a_replica_that_serves_callers_are_its_queue(watched: Watched) -> None:
    for n in range(1, 30):
        watched.see(answer(TWO, T + n - 0.5), probe(TWO, T + n, Failure.TIMEOUT, duration=0.9))
        watched.see(scrape(TWO, T + n, Failure.TIMEOUT))
    assert not any(symptom is Symptom.HUNG for _, symptom, _ in watched.open())


# --- slow


def rates(watched: Watched, firsts: dict[Subject, float], rows: int, start: float = T) -> None:
    for n in range(rows):
        at = start + n / 16
        watched.see(*(answer(s, at, first=f, duration=f + 0.08) for s, f in firsts.items()))


def test_two_of_three_slow_are_both_found_against_the_third(watched: Watched) -> None:
    rates(watched, {ONE: 0.02, TWO: 0.2, THREE: 0.25}, rows=12)
    assert watched.open() == {
        ("chat-2", Symptom.SLOW, Sense.GATEWAY),
        ("chat-3", Symptom.SLOW, Sense.GATEWAY),
    }
    sentence = next(f.sentence for f in watched.said if f.subject == TWO)
    assert "first token after 0.20 s; its siblings take 20 ms" in sentence


def test_when_all_are_slow_none_is(watched: Watched) -> None:
    rates(watched, dict.fromkeys((ONE, TWO, THREE), 0.2), rows=80)
    assert watched.said == []


def test_a_little_slower_is_not_slow(watched: Watched) -> None:
    rates(watched, {ONE: 0.02, TWO: 0.05, THREE: 0.02}, rows=80)
    assert watched.said == []


def test_twice_and_a_half_as_long_is_still_within_what_happens(watched: Watched) -> None:
    rates(watched, dict.fromkeys((ONE, TWO, THREE), 0.2), rows=64)
    rates(watched, {ONE: 0.2, TWO: 0.5, THREE: 0.2}, rows=80, start=T + 4)
    assert watched.said == []


def test_attempts_in_flight_count_before_they_end(watched: Watched) -> None:
    """Each has lasted longer than a whole answer of a sibling; none has ended."""
    for n in range(20):
        at = T + n / 16
        started = in_flight(TWO, at, at, id=f"slow-{n}")
        watched.see(started, answer(ONE, at), answer(THREE, at))
    assert ("chat-2", Symptom.SLOW, Sense.GATEWAY) in watched.open()
    assert watched.said[0].opened_at < T + 1.25


def test_waiting_in_a_queue_is_not_slowness(watched: Watched) -> None:
    for n in range(80):
        at = T + n / 16
        watched.see(scrape(TWO, at, waiting=4, running=2, steps=n))
        watched.see(answer(TWO, at, first=0.9, duration=1.0), answer(ONE, at), answer(THREE, at))
    assert watched.said == []


def test_crawling_streams_are_slow_though_they_start_at_once(watched: Watched) -> None:
    for n in range(16):
        at = T + n / 16
        watched.see(answer(TWO, at, duration=0.9), answer(ONE, at), answer(THREE, at))
    assert watched.open() == {("chat-2", Symptom.SLOW, Sense.GATEWAY)}
    assert "streams a KiB in" in watched.said[0].sentence


def test_slow_probes_count_only_against_siblings_asked_meanwhile(watched: Watched) -> None:
    watched.see(*(probe(s, T) for s in (ONE, TWO, THREE)))
    for n in range(1, 8):
        watched.see(probe(TWO, T + n, first=0.5, duration=0.6))
    assert watched.open() == set()
    assert watched.reflexes.suspects(with_controls=False) == {TWO}
    assert watched.reflexes.suspects() == {ONE, TWO, THREE}  # so that there is a measure
    watched.see(probe(ONE, T + 8), probe(THREE, T + 8))
    watched.look(T + 8.1)
    assert watched.open() == {("chat-2", Symptom.SLOW, Sense.PROBE)}


def test_slow_probes_in_a_burst_that_all_meet_are_nothing(watched: Watched) -> None:
    watched.see(*(probe(s, T) for s in (ONE, TWO, THREE)))
    for n in range(1, 8):
        watched.see(*(probe(s, T + n, first=0.5, duration=0.6) for s in (ONE, TWO, THREE)))
    assert watched.said == []


# --- nonsense, silence


def test_who_alone_answers_otherwise_talks_nonsense(watched: Watched) -> None:
    for n in range(1, 4):
        at = T + n
        watched.see(probe(ONE, at), probe(TWO, at, answer=f"xk{n}qj vvzt wppl mm{n}"))
        watched.see(probe(THREE, at))
        assert bool(watched.open()) == (n == 3)
    assert watched.open() == {("chat-2", Symptom.NONSENSE, Sense.PROBE)}


def test_if_siblings_disagree_nobody_can_be_blamed(watched: Watched) -> None:
    for n in range(1, 8):
        answers = {ONE: "one says this thing", TWO: "zzz qqq www", THREE: "a third opinion here"}
        watched.see(*(probe(s, T + n, answer=a) for s, a in answers.items()))
    assert watched.said == []


def test_a_slightly_different_answer_is_the_same_answer(watched: Watched) -> None:
    other = "Paris is the capital city of France"
    for n in range(1, 8):
        watched.see(probe(ONE, T + n), probe(TWO, T + n, answer=other), probe(THREE, T + n))
    assert watched.said == []


def test_with_one_healthy_sibling_its_own_earlier_answer_decides(watched: Watched) -> None:
    everyone = (ONE, TWO, THREE)
    watched.see(*(probe(s, T) for s in everyone))
    for n in range(1, 4):  # chat-3 is gone, so that only chat-1 is left to compare with
        watched.see(probe(THREE, T + n, Failure.REFUSED))
    for n in range(4, 8):
        watched.see(probe(ONE, T + n), probe(TWO, T + n, answer="brzl kkpf ooqx"))
    assert ("chat-2", Symptom.NONSENSE, Sense.PROBE) in watched.open()


NONSENSE = ("chat-2", Symptom.NONSENSE, Sense.PROBE)


def talks_nonsense(watched: Watched, until: int = 4) -> None:
    watched.see(probe(ONE, T), probe(THREE, T))
    for n in range(1, until):
        watched.see(probe(TWO, T + n, answer=f"xk{n}qj vvzt wppl mm{n}"))
    assert NONSENSE in watched.open()


def test_a_sibling_that_is_busy_for_a_moment_acquits_nobody(watched: Watched) -> None:
    talks_nonsense(watched)
    watched.see(*(probe(s, T + 4, Failure.TIMEOUT) for s in (ONE, THREE)))
    for n in range(4, 14):
        watched.see(probe(TWO, T + n + 0.5, answer="brzl kkpf ooqx"))
        assert NONSENSE in watched.open()


def test_with_nobody_left_to_compare_with_nonsense_stays_found(watched: Watched) -> None:
    talks_nonsense(watched)
    for n in range(4, 90):  # of the siblings nothing is heard any more
        watched.see(probe(TWO, T + n, answer="brzl kkpf ooqx"))
    assert NONSENSE in watched.open()


def test_a_sibling_that_is_ill_otherwise_is_a_witness_all_the_same(watched: Watched) -> None:
    for n in range(1, 4):
        watched.see(*(probe(s, T + n, Failure.SERVER_ERROR) for s in (ONE, THREE)))
    assert {name for name, _, _ in watched.open()} == {"chat-1", "chat-3"}
    watched.see(probe(ONE, T + 4), probe(THREE, T + 4))
    for n in range(3):
        watched.see(probe(TWO, T + 4.1 + n / 10, answer="brzl kkpf ooqx"))
    assert {name for name, _, _ in watched.open()} == {"chat-1", "chat-2", "chat-3"}


def test_a_probe_that_brought_no_words_says_nothing_of_them(watched: Watched) -> None:
    watched.see(probe(ONE, T), probe(THREE, T))
    for n in range(1, 4):
        watched.see(probe(TWO, T + n, answer="brzl kkpf ooqx"))
        watched.see(probe(TWO, T + n + 0.5, Failure.TIMEOUT))
    assert NONSENSE in watched.open()


def test_nonsense_is_refuted_by_what_the_siblings_say_too(watched: Watched) -> None:
    talks_nonsense(watched)
    for n in range(4, 7):
        assert NONSENSE in watched.open()
        watched.see(probe(TWO, T + n))
    assert NONSENSE not in watched.open()
    assert not any(replica == "chat-1" for replica, _, _ in watched.open())


def test_metrics_that_cannot_be_read_are_silence_and_no_sickness(watched: Watched) -> None:
    for n in range(1, 4):
        watched.see(scrape(TWO, T + n, Failure.WRONG_TYPE))
    assert watched.open() == {("chat-2", Symptom.SILENT, Sense.SCRAPE)}
    assert watched.reflexes.suspects() == frozenset()
    for n in range(4, 7):
        watched.see(scrape(TWO, T + n, running=0, steps=1))
    assert watched.open() == set()


@pytest.mark.parametrize(
    ("failure", "symptom", "needed"),
    [(Failure.REFUSED, Symptom.GONE, 2), (Failure.TIMEOUT, Symptom.HUNG, 3)],
)
def test_scrapes_that_fail_like_a_replica_fails(
    watched: Watched, failure: Failure, symptom: Symptom, needed: int
) -> None:
    for n in range(1, needed + 1):
        assert watched.open() == set()
        watched.see(scrape(TWO, T + 5 + n, failure))
    assert watched.open() == {("chat-2", symptom, Sense.SCRAPE)}


# --- closing


def erroring(watched: Watched) -> None:
    for n in range(4):
        watched.see(answer(TWO, T + 0.06 * n, Failure.SERVER_ERROR))
    assert watched.open() == {("chat-2", Symptom.ERRORING, Sense.GATEWAY)}


def test_good_rows_close_what_bad_rows_opened(watched: Watched) -> None:
    erroring(watched)
    for n in range(1, 8):
        watched.see(answer(TWO, T + 1 + 0.06 * n))
    assert watched.open()
    (closed,) = watched.see(answer(TWO, T + 2))
    assert closed.closed_at == T + 2
    assert watched.open() == set()


def test_a_replica_that_flaps_stays_one_finding(watched: Watched) -> None:
    erroring(watched)
    for n in range(100):
        failure = Failure.SERVER_ERROR if n % 5 == 0 else None
        watched.see(answer(TWO, T + 1 + 0.06 * n, failure))
    assert len([f for f in watched.said if f.opened_at == f.last_seen_at]) == 1
    assert [f for f in watched.said if f.closed_at is not None] == []


def test_ejected_it_closes_only_when_other_senses_find_it_good(watched: Watched) -> None:
    erroring(watched)
    for n in range(120):  # a minute without a row of it, and without a probe
        watched.see(answer(ONE, T + 1 + n / 2))
    assert watched.open()
    for n in range(1, 7):
        watched.see(probe(TWO, T + 70 + n * 0.5))
    assert watched.open() == set()


def test_closed_by_probes_it_is_not_opened_again_by_the_rows_of_before(watched: Watched) -> None:
    erroring(watched)
    for n in range(1, 7):
        watched.see(probe(TWO, T + 10 + n * 0.5))
    assert watched.open() == set()
    for n in range(40):
        watched.look(T + 14 + n)
    watched.see(answer(TWO, T + 20, Failure.SERVER_ERROR))
    assert watched.open() == set()
    assert len(watched.said) == 2


def test_ejected_it_stays_while_probes_fail(watched: Watched) -> None:
    erroring(watched)
    for n in range(1, 100):
        watched.see(probe(TWO, T + n, Failure.SERVER_ERROR))
    assert ("chat-2", Symptom.ERRORING, Sense.GATEWAY) in watched.open()
    assert ("chat-2", Symptom.ERRORING, Sense.PROBE) in watched.open()


def test_refuted_evidence_is_not_used_again(watched: Watched) -> None:
    erroring(watched)
    for n in range(8):
        watched.see(answer(TWO, T + 1 + 0.06 * n))
    assert watched.open() == set()
    watched.see(answer(TWO, T + 2, Failure.SERVER_ERROR))
    assert watched.open() == set()


def test_good_probes_must_last_for_a_while(watched: Watched) -> None:
    for n in range(2):
        watched.see(probe(TWO, T + n * 0.5, Failure.SERVER_ERROR))
    for n in range(1, 5):
        watched.see(probe(TWO, T + 1 + n * 0.1))
    assert watched.open()
    watched.see(probe(TWO, T + 4))
    assert watched.open() == set()


def test_a_forgotten_replica_starts_with_a_clean_record(watched: Watched) -> None:
    erroring(watched)
    watched.reflexes.forget(TWO, T + 1)
    (closed,) = watched.look(T + 1)
    assert closed.closed_at == T + 1
    # Rows of requests that the old process had accepted are still being written.
    for n in range(12):
        row = answer(TWO, T + 1.1 + n * 0.05, Failure.TRUNCATED, duration=2.0)
        watched.see(row)
    assert watched.open() == set()
    assert watched.reflexes.suspects() == frozenset()
    for n in range(4):
        watched.see(answer(TWO, T + 3 + n * 0.06, Failure.SERVER_ERROR))
    assert watched.open() == {("chat-2", Symptom.ERRORING, Sense.GATEWAY)}


def test_an_open_finding_is_told_again_while_its_evidence_goes_on(watched: Watched) -> None:
    for n in range(200):
        watched.see(answer(TWO, T + n * 0.1, Failure.SERVER_ERROR))
    told = [f.last_seen_at for f in watched.said]
    assert 3 <= len(told) <= 8  # 20 s, told again every five
    assert told == sorted(told)


def test_who_leaves_the_stack_leaves_no_finding_behind() -> None:
    topology = [stack(chat=3)]
    reflexes = Reflexes(lambda: topology[0])
    reflexes.observe([probe(THREE, T, Failure.REFUSED)])
    reflexes.observe([probe(THREE, T + 1, Failure.REFUSED)])
    (opened,) = reflexes.evaluate(T + 1)
    topology[0] = stack(chat=2)
    reflexes.observe([probe(THREE, T + 2, Failure.REFUSED)])
    (closed,) = reflexes.evaluate(T + 2)
    assert closed.key == opened.key
    assert closed.closed_at == T + 2
    assert reflexes.open_findings() == ()
    assert reflexes.suspects() == frozenset()


def test_evidence_of_strangers_is_ignored(watched: Watched) -> None:
    stranger = Subject("chat", "chat-9")
    for n in range(10):
        watched.see(answer(stranger, T + n, Failure.REFUSED), probe(stranger, T, Failure.REFUSED))
    assert watched.said == []
