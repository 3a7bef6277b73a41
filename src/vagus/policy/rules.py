"""Operators' rules: what this stack's owners say about what Vagus may do, as code that is checked.

A rule is a condition over the facts of a request and a verdict. All rules are asked and all that
match are kept, so that whoever is refused learns of every rule that stood against it and not of the
first alone. Among them the strictest wins, as in the gate itself: an *allow* says that somebody
thought of this case, and takes nothing away from any other rule or guard.

Everything is settled at load: a condition that doesn't compile, a word that a fact can never be, a
group that has nobody in it, two rules that can't both be meant. What is left for the moment of the
ruling is a condition that can't be answered, and that denies: a rule that broke is a rule whose
answer nobody knows.

Rules are a value. Their digest goes into what an approval is bound to, so a yes that was given
under other rules is void.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from vagus.config import Settings
from vagus.errors import ConfigError
from vagus.model import Ask, Tier
from vagus.policy.cel import BadCondition, Cel, Condition, Engine, Unanswerable
from vagus.policy.rule_facts import CATALOGUE, Fact, RuleFacts
from vagus.policy.rule_file import WrittenRule, parse_rule_file
from vagus.policy.rule_words import check_words


class Verdict(StrEnum):
    """What a rule says if its condition holds."""

    ALLOW = "allow"
    RAISE = "raise"  # to a tier at least
    ASK = "ask"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """A rule that matched, or one that could not be answered and therefore denies."""

    rule: str
    verdict: Verdict
    because: str
    ask: Ask | None = None  # with ASK
    tier: Tier | None = None  # with RAISE


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    when: str
    condition: Condition = field(compare=False, repr=False)
    answer: RuleAnswer


@dataclass(frozen=True, slots=True)
class Rules:
    """All of a file's rules, compiled."""

    rules: tuple[Rule, ...]
    digest: str  # SHA-256 over what they say; comments and layout don't count
    timezone: str = "UTC"
    engine: Engine = field(default_factory=Cel, compare=False, repr=False)

    def judge(self, facts: RuleFacts) -> tuple[RuleAnswer, ...]:
        """Every rule that matches, in the order of the file."""
        return self.judge_values(facts.values())

    def judge_values(self, values: Mapping[str, Fact]) -> tuple[RuleAnswer, ...]:
        """The same of facts by name. A rule that needs one that isn't there can't be answered."""
        if not self.rules:
            return ()
        try:
            bound = self.engine.bind(values)
        except Unanswerable as error:
            return tuple(_broken(rule, error) for rule in self.rules)
        return tuple(self._answers(bound))

    def _answers(self, bound: object) -> Iterator[RuleAnswer]:
        for rule in self.rules:
            try:
                if rule.condition.holds(bound):
                    yield rule.answer
            except Unanswerable as error:
                yield _broken(rule, error)


def _broken(rule: Rule, error: Unanswerable) -> RuleAnswer:
    return RuleAnswer(rule.name, Verdict.DENY, f"it can't be answered: {error}")


def load_rules(path: Path, settings: Settings, *, faults: Sequence[str] = ()) -> Rules:
    """The rules in ``path``, for the groups and components of ``settings``. ``faults`` are those
    that a diagnosis can name. Raises ConfigError with file, line, column and mend."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"can't be read: {error}", where=str(path), mend="see policy.rules in vagus.yaml"
        ) from error
    return parse_rules(text, name=str(path), settings=settings, faults=faults)


def parse_rules(
    text: str,
    *,
    name: str = "rules.yaml",
    settings: Settings | None = None,
    faults: Sequence[str] = (),
) -> Rules:
    """Rules from YAML text. Without ``settings``, groups and components can't be checked."""
    written, document = parse_rule_file(text, name=name)
    engine = Cel()
    words = _words(settings, faults)
    rules = []
    for index, rule in enumerate(written.rules):
        here = ("rules", str(index))
        if settings is not None:
            _check_group(rule, settings, f"{name}:{document.line_of((*here, 'then'))}")
        try:
            condition = engine.compile(rule.when)
            check_words(rule.when, words)
        except BadCondition as error:
            line, column = document.place_in((*here, "when"), error.offset)
            raise ConfigError(
                f"rule {rule.name!r}: {error.message}",
                where=f"{name}:{line}:{column}",
                mend=error.mend,
            ) from error
        rules.append(Rule(rule.name, rule.when, condition, _answer(rule)))
    digest = hashlib.sha256(written.canonical().encode()).hexdigest()
    return Rules(tuple(rules), digest, written.timezone, engine)


def _answer(rule: WrittenRule) -> RuleAnswer:
    then = rule.then
    if then.ask is not None:
        ask = Ask(then.ask.approvers, then.ask.group or "")
        return RuleAnswer(rule.name, Verdict.ASK, rule.because, ask=ask)
    if then.raise_to is not None:
        return RuleAnswer(rule.name, Verdict.RAISE, rule.because, tier=Tier[then.raise_to])
    return RuleAnswer(rule.name, Verdict.DENY if then.deny else Verdict.ALLOW, rule.because)


def _words(settings: Settings | None, faults: Sequence[str]) -> dict[str, Sequence[str]]:
    """All that a fact can be, where that is known."""
    words: dict[str, Sequence[str]] = {name: fact.values for name, fact in CATALOGUE.items()}
    words["fault"] = faults
    if settings is not None:
        words["component"] = tuple(settings.stack)
    return words


def _check_group(rule: WrittenRule, settings: Settings, where: str) -> None:
    ask, groups = rule.then.ask, settings.policy.approvers
    if ask is None or ask.group is None:
        return
    if ask.group not in groups:
        raise ConfigError(
            f"rule {rule.name!r} asks {ask.group!r}, and nobody is in a group of this name",
            where=where,
            mend=f"policy.approvers has: {', '.join(sorted(groups)) or 'none'}",
        )
    if ask.approvers > len(groups[ask.group]):
        raise ConfigError(
            f"rule {rule.name!r} asks {ask.approvers} of {ask.group!r}, "
            f"which has {len(groups[ask.group])}",
            where=where,
            mend="nobody could ever approve it: ask fewer, or add people to policy.approvers",
        )


NO_RULES = parse_rules("rules: []")
