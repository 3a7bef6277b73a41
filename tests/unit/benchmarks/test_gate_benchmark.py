from __future__ import annotations

from benchmarks import gate
from benchmarks.report import Options
from vagus.policy.rules import Verdict
from vagus.testing.cases import some_facts


def test_every_condition_is_another_one_and_can_be_answered() -> None:
    written = gate.conditions()
    assert len(set(written)) == len(written) == 50
    rules = gate._rules(written)
    values = gate.seen(gate.a_request(), some_facts(rules=rules)).values()
    matched = rules.judge_values(values)
    assert 0 < len(matched) < 25
    assert {answer.verdict for answer in matched} == {Verdict.ALLOW}


def test_it_has_its_figures() -> None:
    result = gate.run(Options(quick=True, say=lambda line: None))
    assert result.figures.keys() >= {
        "gate_ms_50_rules_median",
        "gate_ms_50_rules_p99",
        "gate_ms_no_rules_median",
        "rules_ms_50_rules_median",
    }
    assert all(figure > 0 for figure in result.figures.values())
    if "rules_ratio_cel_python" not in result.figures:
        assert any("cel-python is left out" in note for note in result.notes)
