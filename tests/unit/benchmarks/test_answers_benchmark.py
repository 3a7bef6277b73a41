from __future__ import annotations

import numpy as np

from benchmarks import answers
from benchmarks.answers import Measured
from benchmarks.answers_canaries import QUESTIONS, TEXTS


def measured(rounds: int, *, worse: float = 0.0, hit: float = 0.9) -> Measured:
    random = np.random.default_rng(round(100 * worse))
    texts = np.linspace(2.0, 4.0, 16)
    nats = [(texts + worse + 0.005 * random.normal(size=16)).tolist() for _ in range(rounds)]
    hits = [[number < round(hit * 16) for number in range(16)] for _ in range(rounds)]
    return Measured(nats, hits, 1.0)


def test_a_worse_model_takes_fewer_prompts_and_the_healthy_one_alarms_no_more_than_declared() -> (
    None
):
    worse = {"01pct": measured(1, worse=0.05), "all": measured(1, worse=5.0, hit=0.0)}
    result = answers._judge(measured(4), worse, runs=10)
    figures = result.figures
    assert figures["false_alarms"] <= 2 * 10 * answers.NULL_LENGTH / answers.RUN_LENGTH
    assert figures["prompts_to_alarm_all"] <= figures["prompts_to_alarm_01pct"] < 100
    assert {row["strength"] for row in result.rows} == {"none", "01pct", "all"}


def test_what_is_never_found_has_no_figure() -> None:
    result = answers._judge(measured(4), {"01pct": measured(1)}, runs=5)
    assert "prompts_to_alarm_01pct" not in result.figures
    row = next(r for r in result.rows if r["strength"] == "01pct")
    assert row["prompts"] is None
    assert result.nothing["prompts"] == "later"


def test_canaries_are_distinct_and_ask_for_something() -> None:
    assert len(set(TEXTS)) == len(TEXTS)
    assert len({question for question, _ in QUESTIONS}) == len(QUESTIONS)
    assert all(expected.lower() not in question.lower().split() for question, expected in QUESTIONS)
