"""The burden of proof lies with the new version, and silence promotes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.model import Cause, Incident, IncidentState, Observed, Rollout, Subject
from vagus.verification.rollout import (
    MIN_SEEN,
    SOAK,
    Promotion,
    RolloutVerdict,
    judge_rollout,
)

CANARY, OTHER = Subject("chat", "chat-3"), Subject("chat", "chat-1")
ROLLOUT = Rollout("r-1", "chat", "v2", "v1", ("chat-3",), started_at=100.0, started_by="ana")
LATER = ROLLOUT.started_at + SOAK
GOOD = Observed(100.0, LATER, probes_ok_in_a_row=4, attempts=MIN_SEEN, attempts_failed=0)


WARM_UP = 15.0


def judge(
    rollout: Rollout, seen: dict[Subject, Observed], incidents: list[Incident], now: float
) -> RolloutVerdict:
    return judge_rollout(rollout, seen, incidents, now, warm_up=WARM_UP)


def incident(subject: Subject = CANARY, at: float = 120.0) -> Incident:
    cause = Cause("version-regressed", subject, 0.9, "it talks nonsense")
    return Incident("inc-1", subject, cause, IncidentState.RESOLVED, at)


def test_what_served_long_and_well_is_promoted() -> None:
    assert judge(ROLLOUT, {CANARY: GOOD}, [], LATER).promotion is Promotion.PROMOTE


@pytest.mark.parametrize(
    ("seen", "now"),
    [
        ({}, LATER),
        ({CANARY: GOOD}, LATER - 1),
        ({CANARY: replace(GOOD, attempts=MIN_SEEN - 5)}, LATER),
        ({OTHER: GOOD}, LATER),
    ],
)
def test_too_little_is_inconclusive(seen: dict[Subject, Observed], now: float) -> None:
    verdict = judge(ROLLOUT, seen, [], now)
    assert verdict.promotion is Promotion.INCONCLUSIVE
    assert verdict.sentence


def test_an_incident_of_its_replica_speaks_against_it_even_once_healed() -> None:
    verdict = judge(ROLLOUT, {CANARY: GOOD}, [incident()], LATER)
    assert verdict.promotion is Promotion.ROLL_BACK
    assert "talks nonsense" in verdict.sentence


@pytest.mark.parametrize(
    "elsewhere",
    [
        incident(OTHER),
        incident(at=ROLLOUT.started_at - 1),
        replace(incident(), state=IncidentState.SUBSIDED),
        incident(at=ROLLOUT.started_at + WARM_UP - 1),  # gone while it started, and well since
    ],
)
def test_other_incidents_do_not(elsewhere: Incident) -> None:
    verdict = judge(ROLLOUT, {CANARY: GOOD}, [elsewhere], LATER)
    assert verdict.promotion is Promotion.PROMOTE


def test_what_began_while_it_started_and_is_not_over_speaks_against_it() -> None:
    lasting = replace(incident(at=ROLLOUT.started_at + 1), state=IncidentState.ESCALATED)
    assert judge(ROLLOUT, {CANARY: GOOD}, [lasting], LATER).promotion is Promotion.ROLL_BACK


def test_failed_callers_speak_against_it_before_anything_is_found() -> None:
    seen = {CANARY: replace(GOOD, attempts=40, attempts_failed=3)}
    assert judge(ROLLOUT, seen, [], LATER).promotion is Promotion.ROLL_BACK


def test_what_was_rolled_back_stays_so() -> None:
    back = replace(ROLLOUT, finished_at=110.0, verdict="rolled-back")
    assert judge(back, {CANARY: GOOD}, [], LATER).promotion is Promotion.ROLL_BACK
