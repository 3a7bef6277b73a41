"""Whatever a rule is told, its answer is its own or a denial: never silence that nobody meant."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from vagus.policy.rule_facts import CATALOGUE, Fact
from vagus.policy.rules import Rules, Verdict, parse_rules

NAMES = tuple(CATALOGUE)

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=10),
    st.binary(max_size=4),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@cache
def rules(name: str) -> Rules:
    return parse_rules(f"""\
rules:
  - {{name: holds, when: "{name} == {name}", then: allow, because: it is}}
  - {{name: never, when: "{name} != {name}", then: allow, because: it is not}}
""")


def fits(name: str, value: object) -> bool:
    kind = CATALOGUE[name].kind
    if kind is int:
        return type(value) is int and -(2**63) <= value < 2**63
    return type(value) is kind


@given(st.sampled_from(NAMES), anything)
def test_a_fact_that_does_not_fit_denies(name: str, value: Fact) -> None:
    said = {a.rule: a.verdict for a in rules(name).judge_values({name: value})}
    if fits(name, value):
        assert said == {"holds": Verdict.ALLOW}
    else:  # some that don't fit have a meaning all the same, such as a whole number for a decimal
        assert said in (
            {"holds": Verdict.DENY, "never": Verdict.DENY},
            {"holds": Verdict.ALLOW},
        )


@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(NAMES), anything, max_size=5))
def test_a_fact_that_is_not_there_denies(name: str, others: Mapping[str, Fact]) -> None:
    values = {other: value for other, value in others.items() if other != name}
    said = {a.rule: a.verdict for a in rules(name).judge_values(values)}
    assert said == {"holds": Verdict.DENY, "never": Verdict.DENY}
