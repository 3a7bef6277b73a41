from __future__ import annotations

from benchmarks import policy
from benchmarks.report import Options
from vagus.policy.rules import Verdict
from vagus.testing.cases import some_facts


def test_every_condition_is_another_one_and_can_be_answered() -> None:
    written = policy.conditions()
    assert len(set(written)) == len(written) == 50
    rules = policy._rules(written)
    values = policy.seen(policy.a_request(), some_facts(rules=rules)).values()
    matched = rules.judge_values(values)
    assert 0 < len(matched) < 25
    assert {answer.verdict for answer in matched} == {Verdict.ALLOW}


def test_it_has_its_figures() -> None:
    result = policy.run(Options(quick=True, say=lambda line: None))
    assert result.figures.keys() >= {
        "gate_ms_median",
        "gate_ms_p99",
        "gate_no_rules_ms_median",
        "rules_ms_median",
        "approve_to_act_s_p99",
    }
    assert all(figure > 0 for figure in result.figures.values())
    if "rules_ratio_cel_python" not in result.figures:
        assert any("cel-python is left out" in note for note in result.notes)
