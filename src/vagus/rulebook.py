"""Operators' rules without a running Vagus: looked at, and tried on cases.

Rules are code, and code that decides over production is tested before it is trusted. A table of
cases is YAML; each case gives facts and says what the rules must make of them::

    rules: rules.yaml                 # relative to this file
    facts: {action: restart, kind: model-server, hour: 12}
    cases:
      - name: nothing is restarted at night
        facts: {hour: 3}              # over those above
        expect: deny
        rule: no-restarts-at-night    # the rule that says so, if it matters which

A fact that neither gives is missing, as it would be in earnest: a rule that needs it denies.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vagus._mistakes import first_mistake
from vagus._yaml import Located, load_located
from vagus.config import Settings
from vagus.diagnosis.faults import FAULTS
from vagus.errors import ConfigError
from vagus.model import Ask, Decision, GuardRuling
from vagus.policy.guards.rules import answered, deciding
from vagus.policy.rule_facts import CATALOGUE, Fact
from vagus.policy.rules import Rules, parse_rules


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WrittenCase(_Strict):
    name: str = Field(min_length=1)
    facts: dict[str, bool | int | float | str] = Field(default_factory=dict)
    expect: Literal["allow", "ask", "deny"]
    rule: str | None = None
    approvers: int | None = Field(None, ge=1)
    group: str | None = None


class WrittenCases(_Strict):
    rules: str | None = None
    facts: dict[str, bool | int | float | str] = Field(default_factory=dict)
    cases: tuple[WrittenCase, ...] = Field(strict=False, min_length=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A case, what the rules made of it, and what is wrong with that: nothing if it passed."""

    name: str
    line: int
    facts: Mapping[str, Fact]  # that the case itself gives
    ruling: GuardRuling
    rules: tuple[str, ...]  # that decided
    wrong: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.wrong


def read_rules(path: Path, settings: Settings | None) -> Rules:
    """The rules in ``path``. Without ``settings``, groups and components can't be checked.

    Raises ConfigError with file, line, column and mend.
    """
    return parse_rules(_text(path), name=str(path), settings=settings, faults=tuple(FAULTS))


def try_out(path: Path, settings: Settings | None) -> tuple[Outcome, ...]:
    """Every case of the table in ``path``, tried. Raises ConfigError for a table that can't be
    meant, and for rules that can't."""
    name = str(path)
    document = load_located(_text(path), name=name)
    if not isinstance(document.value, Mapping):
        raise ConfigError("is not a mapping", where=name, mend="start with 'cases:'")
    try:
        table = WrittenCases.model_validate(document.value)
    except ValidationError as error:
        raise first_mistake(error, WrittenCases, document, name) from error
    rules = read_rules(_rules_of(table, path, settings), settings)
    common = _facts(table.facts, document, ("facts",), name)
    outcomes = []
    for index, case in enumerate(table.cases):
        here = ("cases", str(index))
        own = _facts(case.facts, document, (*here, "facts"), name)
        if case.rule is not None and case.rule not in {rule.name for rule in rules.rules}:
            raise ConfigError(
                f"there is no rule {case.rule!r}",
                where=f"{name}:{document.line_of((*here, 'rule'))}",
                mend=_near(case.rule, [rule.name for rule in rules.rules]),
            )
        outcomes.append(_tried(case, rules, common | own, own, document.line_of(here)))
    return tuple(outcomes)


def _tried(
    case: WrittenCase, rules: Rules, facts: Mapping[str, Fact], own: Mapping[str, Fact], line: int
) -> Outcome:
    answers = rules.judge_values(facts)
    ruling = answered(rules, answers)
    by = tuple(answer.rule for answer in deciding(answers))
    wrong = []
    if ruling.decision is not Decision[case.expect.upper()]:
        wrong.append(f"expected {case.expect}, got {ruling.decision.name.lower()}")
    elif case.rule is not None and case.rule not in by:
        wrong.append(f"expected it of {case.rule}, got it of {', '.join(by) or 'no rule'}")
    elif case.approvers is not None or case.group is not None:
        wanted = Ask(case.approvers or 1, case.group or "")
        asks = [ruling.ask, *ruling.also_ask] if ruling.ask is not None else []
        if wanted not in asks:
            got = " and ".join(map(str, asks)) or "nobody"
            wrong.append(f"expected to ask {wanted}, got {got}")
    return Outcome(case.name, line, own, ruling, by, tuple(wrong))


def _rules_of(table: WrittenCases, path: Path, settings: Settings | None) -> Path:
    if table.rules is not None:
        return path.parent / table.rules
    if settings is not None and settings.policy.rules is not None:
        return settings.policy.rules
    raise ConfigError(
        "says no rules to try", where=str(path), mend="add 'rules: FILE', relative to this file"
    )


def _facts(
    written: Mapping[str, Fact], document: Located, here: Sequence[str], name: str
) -> dict[str, Fact]:
    """As rules are given them: a whole number where a decimal is meant is one."""
    found: dict[str, Fact] = {}
    for key, value in written.items():
        where = f"{name}:{document.line_of((*here, key))}"
        fact = CATALOGUE.get(key)
        if fact is None:
            raise ConfigError(f"unknown fact {key!r}", where=where, mend=_near(key, CATALOGUE))
        if fact.kind is float and type(value) is int:
            value = float(value)
        if type(value) is not fact.kind:
            kinds = {str: "text", int: "a whole number", float: "a decimal", bool: "true or false"}
            raise ConfigError(f"{key}: {value!r} is not {kinds[fact.kind]}", where=where)
        if fact.values and value not in fact.values:
            mend = _near(str(value), fact.values)
            raise ConfigError(f"{key} is never {value!r}", where=where, mend=mend)
        found[key] = value
    return found


def _near(word: str, known: Mapping[str, object] | Sequence[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't be read: {error}", where=str(path)) from error
