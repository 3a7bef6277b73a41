"""Operators' rules: what a file may say, what is refused at load, what happens at the ruling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from vagus.config import Settings, parse
from vagus.errors import ConfigError
from vagus.model import Ask, Tier
from vagus.policy.cel import Cel, Condition, Unanswerable
from vagus.policy.rule_facts import CATALOGUE, Fact, RuleFacts
from vagus.policy.rules import NO_RULES, Rule, RuleAnswer, Rules, Verdict, load_rules, parse_rules

FACTS = RuleFacts(
    action="restart",
    purpose="treat",
    proposer="vagus",
    component="chat",
    replica="chat-1",
    kind="model-server",
    replicas=3,
    tier=1,
    blast_radius=1 / 3,
    fault="replica-hung",
    confidence=0.9,
    hour=3,
    weekday="sat",
    date="2026-11-28",
    mode="auto",
    production=True,
    environment="default",
    record_samples=0,
    record_bound=0.0,
)


def a_rule(when: str, then: str = "deny", name: str = "it") -> str:
    return f"""\
rules:
  - name: {name}
    when: {when}
    then: {then}
    because: we said so
"""


def settings() -> Settings:
    return parse(
        "stack: {chat: {kind: model-server}, vectors: {kind: vector-store}}\n"
        "policy: {approvers: {dba: [ann, bob]}}\n"
    )


def holds(when: str, facts: RuleFacts = FACTS) -> bool:
    answers = parse_rules(a_rule(when)).judge(facts)
    assert all(answer.because == "we said so" for answer in answers), answers
    return bool(answers)


@pytest.mark.parametrize(
    "when",
    [
        "action == 'restart'",
        "action in ['restart', 'replace'] && tier >= 1",
        "hour >= 22 || hour < 6",
        "weekday in ['sat', 'sun']",
        "date.startsWith('2026-11')",
        "blast_radius > 0.3 && blast_radius < 0.34",
        "production && confidence < 1.0",
        "kind != 'vector-store'",
        "'model-server' == kind",
        "!error_budget_left_known",
        "record_samples == 0 && record_bound == 0.0",
        "replica.matches('^chat-[0-9]+$')",
    ],
)
def test_conditions_over_the_facts(when: str) -> None:
    assert holds(f'"{when}"')
    assert not holds(f'"!({when})"')


def test_every_fact_can_be_asked_about() -> None:
    literals = {str: "'x'", int: "7", float: "7.5", bool: "true"}
    engine = Cel()
    values = replace(FACTS, error_budget_left=0.5).values()
    assert values.keys() == CATALOGUE.keys()
    for name, fact in CATALOGUE.items():
        engine.compile(f"{name} == {literals[fact.kind]}").holds(engine.bind(values))


def test_the_file_says_what_follows(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("""\
timezone: Europe/Vienna
rules:
  - {name: no, when: tier >= 1, then: deny, because: a}
  - {name: never, when: tier >= 5, then: deny, because: b}
  - {name: people, when: hour < 6, then: {ask: {approvers: 2, group: dba}}, because: c}
  - {name: anybody, when: production, then: {ask: {}}, because: d}
  - {name: higher, when: "kind == 'model-server'", then: {raise: R3}, because: e}
  - {name: fine, when: "true", then: allow, because: f}
""")
    rules = load_rules(path, settings())
    assert rules.timezone == "Europe/Vienna"
    assert rules.judge(FACTS) == (
        RuleAnswer("no", Verdict.DENY, "a"),
        RuleAnswer("people", Verdict.ASK, "c", ask=Ask(2, "dba")),
        RuleAnswer("anybody", Verdict.ASK, "d", ask=Ask(1, "")),
        RuleAnswer("higher", Verdict.RAISE, "e", tier=Tier.R3),
        RuleAnswer("fine", Verdict.ALLOW, "f"),
    )


def test_the_digest_is_of_what_is_said() -> None:
    rules = parse_rules(a_rule("tier > 1"))
    assert len(rules.digest) == 64
    assert parse_rules("# a comment\n" + a_rule('"tier > 1"')).digest == rules.digest
    assert parse_rules(a_rule("tier > 2")).digest != rules.digest
    assert parse_rules(a_rule("tier > 1", "allow")).digest != rules.digest
    assert parse_rules("timezone: Asia/Tokyo\n" + a_rule("tier > 1")).digest != rules.digest
    assert NO_RULES.judge(FACTS) == ()


# --- the trap: an error is a true string, and must deny -------------------------------------------


def denied(rules: Rules, values: Mapping[str, Fact]) -> str:
    (answer,) = rules.judge_values(values)
    assert answer.verdict is Verdict.DENY
    assert answer.rule == "it"
    assert answer.because.startswith("it can't be answered: ")
    return answer.because


@pytest.mark.parametrize("then", ["allow", "{raise: R2}", "{ask: {}}", "deny"])
def test_a_rule_that_misses_a_fact_denies_whatever_it_would_have_said(then: str) -> None:
    rules = parse_rules(a_rule("error_budget_left < 0.1", then))
    assert "error_budget_left is not known" in denied(rules, FACTS.values())
    without = {name: v for name, v in FACTS.values().items() if name != "tier"}
    assert "not told tier" in denied(parse_rules(a_rule("tier > 3", then)), without)


@pytest.mark.parametrize("then", ["allow", "deny"])
def test_a_rule_that_breaks_denies(then: str) -> None:
    rules = parse_rules(a_rule("tier / record_samples > 3", then))
    assert "divide by zero" in denied(rules, FACTS.values())


@pytest.mark.parametrize("wrong", ["1", 1.5, "true"])
def test_a_fact_of_the_wrong_type_denies(wrong: Fact) -> None:
    values = FACTS.values() | {"tier": wrong}
    denied(parse_rules(a_rule("tier > 3", "allow")), values)
    values = FACTS.values() | {"production": "yes"}
    denied(parse_rules(a_rule("production", "allow")), values)


def test_facts_that_the_engine_does_not_take_deny() -> None:
    values = FACTS.values() | {"tier": object()}  # type: ignore[dict-item]
    denied(parse_rules(a_rule("tier > 3", "allow")), values)


def test_what_is_not_needed_may_be_unknown() -> None:
    rules = parse_rules(a_rule("error_budget_left_known && error_budget_left < 0.1"))
    assert rules.judge(FACTS) == ()
    assert rules.judge(replace(FACTS, error_budget_left=0.05))
    assert rules.judge(replace(FACTS, error_budget_left=0.5)) == ()


def test_one_broken_rule_leaves_the_others_their_say() -> None:
    text = a_rule("error_budget_left < 0.1", "allow", "broken") + a_rule(
        "tier == 1", "allow", "fine"
    ).removeprefix("rules:\n")
    said = parse_rules(text).judge(FACTS)
    assert [(a.rule, a.verdict) for a in said] == [
        ("broken", Verdict.DENY),
        ("fine", Verdict.ALLOW),
    ]


class AnotherEngine:
    """Rules stand on the protocol, not on CEL: an engine whose conditions are names of facts."""

    def compile(self, text: str) -> Condition:
        return AnotherCondition(text)

    def bind(self, values: Mapping[str, Fact]) -> object:
        return values


class AnotherCondition:
    def __init__(self, text: str) -> None:
        self.text = text

    def holds(self, facts: object) -> bool:
        assert isinstance(facts, Mapping)
        if self.text not in facts:
            raise Unanswerable("?")
        return bool(facts[self.text])


def test_the_engine_can_be_swapped() -> None:
    engine = AnotherEngine()
    answer = RuleAnswer("it", Verdict.ALLOW, "")
    known = Rule("it", "production", engine.compile("production"), answer)
    unknown = Rule("other", "no such", engine.compile("no such"), replace(answer, rule="other"))
    said = Rules((known, unknown), "", engine=engine).judge(FACTS)
    assert [a.verdict for a in said] == [Verdict.ALLOW, Verdict.DENY]


# --- what is refused at load ----------------------------------------------------------------------


def refused(text: str, *, with_settings: bool = False, faults: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_rules(
            text, name="r.yaml", settings=settings() if with_settings else None, faults=faults
        )
    return str(caught.value)


@pytest.mark.parametrize(
    ("when", "place", "said"),
    [
        ("action == 'restart' && teir > 2", "3:34", "unknown fact 'teir' (did you mean 'tier'?)"),
        ('"teir > 2"', "3:12", "unknown fact 'teir'"),
        ("'action == ''x'' && teir > 2'", "3:31", "unknown fact 'teir'"),
        ("|\n      production &&\n        teir > 2", "5:9", "unknown fact 'teir'"),
        (">-\n      production &&\n      teir > 2", "5:7", "unknown fact 'teir'"),
        ("production &&\n      teir > 2", "4:7", "unknown fact 'teir'"),
        ("tier >", "3:17", "syntax error"),
        ("tier", "3:11", "is a whole number, and a condition is true or false"),
        ("action", "3:11", "is text"),
        ("confidence > 1", "3:22", "write 1.0"),
        ("tier > 'x'", "3:16", "can't be applied to (int, string)"),
        ("somebody(action)", "3:19", "unknown fact 'somebody'"),
        ("((((" * 40 + "true" + "))))" * 40, "3:11", "nested too deeply"),
        ("tier > 1" + " || tier > 1" * 500, "3:11", "is longer than 4000 characters"),
        ("action == 'restrat'", "3:21", "action is never 'restrat' (did you mean 'restart'?)"),
        ("\"'fri' == weekday || 'fryday' == weekday\"", "3:32", "weekday is never 'fryday'"),
        ("kind in ['cache', 'models']", "3:29", "kind is never 'models'"),
    ],
)  # fmt: skip
def test_a_typo_is_refused_with_its_place_and_the_mend(when: str, place: str, said: str) -> None:
    told = refused(a_rule(when))
    assert told.startswith(f"r.yaml:{place}: rule 'it': "), told
    assert said in told


def test_faults_and_components_are_checked_where_they_are_known() -> None:
    assert "did you mean 'replica-hung'?" in refused(
        a_rule("fault == 'replica-hang'"), faults=("replica-hung", "replica-gone")
    )
    assert "component is never 'caht'" in refused(a_rule("component == 'caht'"), with_settings=True)
    parse_rules(a_rule("component == 'caht' && fault == 'x'"))


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("{ask: {group: nobody}}", "r.yaml:4: rule 'it' asks 'nobody', and nobody is in a group"),
        ("{ask: {approvers: 3, group: dba}}", "asks 3 of 'dba', which has 2"),
        ("{ask: {approvers: 0}}", "greater than or equal to 1"),
        ("forbid", "'forbid' is no verdict: write deny, allow"),
        ("{raise: R9}", "R1"),
        ("{raise: R2, ask: {}}", "say one thing"),
        ("{}", "say one thing"),
        ("{rise: R2}", "known keys here: allow, ask, deny, raise"),
    ],
)
def test_verdicts_that_can_not_be_meant(then: str, said: str) -> None:
    assert said in refused(a_rule("tier > 1", then), with_settings=True)


def pair(first: str, second: str, when: str = "tier>1") -> str:
    other = a_rule(when, second, "other").removeprefix("rules:\n")
    return a_rule("tier > 1", first) + other


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("deny", "allow"),
        ("deny", "deny"),
        ("allow", "{ask: {}}"),
        ("{raise: R3}", "deny"),
        ("{raise: R3}", "{raise: R4}"),
        ("{ask: {approvers: 1}}", "{ask: {approvers: 2}}"),
    ],
)
def test_rules_that_contradict_each_other(first: str, second: str) -> None:
    told = refused(pair(first, second))
    assert told.startswith("r.yaml:7: rules.1.when: 'it' has the same condition")


def test_rules_that_go_together() -> None:
    parse_rules(pair("{ask: {group: a}}", "{ask: {group: b}}"))
    parse_rules(pair("{ask: {}}", "{raise: R3}"))
    parse_rules(pair("deny", "allow", "tier > 2"))
    same = pair("deny", "allow").replace("tier > 1", "'action == \"a b\"'")
    parse_rules(same.replace("tier>1", "'action == \"ab\"'").replace("action", "replica"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "rules: is missing"),
        ("- x", "start with 'rules:'"),
        ("rules: [", "is not YAML"),
        ("rules: []\ntimezone: Mars/Base", "r.yaml:2: timezone: 'Mars/Base' is no timezone"),
        ("rules: []\nrule: 1", "unknown key 'rule' in"),
        (a_rule("tier > 1") + a_rule("tier > 2").removeprefix("rules:\n"), "another rule too"),
        (a_rule("tier > 1").replace("we said so", '""'), "because"),
        (a_rule("true"), "text"),
        ("rules:\n - {name: x, when: a, then: deny}", "rules.0.because: is missing"),
    ],
)
def test_files_that_are_none(text: str, said: str) -> None:
    assert said in refused(text)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't be read: .* \(see policy.rules in vagus.yaml\)"):
        load_rules(tmp_path / "none.yaml", settings())
