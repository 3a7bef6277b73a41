"""Guard: what this stack's owners laid down as rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from vagus.model import Ask, Decision, GuardRuling, Request, Tier
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.guards.licence import at_tier
from vagus.policy.remedies import is_recovery
from vagus.policy.rule_facts import WEEKDAYS, RuleFacts
from vagus.policy.rules import RuleAnswer, Rules, Verdict
from vagus.policy.tiers import APPROVERS, assess


def rules(request: Request, facts: Facts) -> GuardRuling:
    """Operators' rules are all asked; the strictest answer of those that match is theirs.

    Prevents what only the owners of a stack can know to be wrong: the night of a migration, the one
    component that nobody dares to restart. A rule that can't be answered denies: an engine of rules
    once returned its errors as values that counted as true, and a rule that should have stopped
    everything stopped nothing.

    A rule that allows takes nothing away from the other rules and guards. Recoveries pass: a rule
    could otherwise keep traffic from replicas that are well.
    """
    if is_recovery(request):
        return allow("rules", "a recovery passes them")
    if not facts.rules.rules:
        return allow("rules", "there are none", rules=0.0)
    said = answered(facts.rules, facts.rules.judge(seen(request, facts)))
    raised = Tier(int(said.numbers.get("tier", Tier.R0)))
    if raised and said.decision is Decision.ALLOW and raised > assess(request, facts).tier:
        held = at_tier(raised, request, facts)
        reason = f"{said.reason}; {held.reason}"
        return replace(said, decision=held.decision, reason=reason, ask=held.ask)
    return said


def seen(request: Request, facts: Facts) -> RuleFacts:
    """The request as rules see it."""
    remedy, cause, kind = request.remedy, request.cause, assess(request, facts)
    local = datetime.fromtimestamp(facts.now, ZoneInfo(facts.rules.timezone))
    record = facts.record
    return RuleFacts(
        action=remedy.action,
        purpose=request.purpose.value,
        proposer=request.proposer,
        component=remedy.target.component,
        replica=remedy.target.replica,
        kind=facts.kind.value if facts.kind is not None else "",
        replicas=len(facts.replicas),
        tier=kind.tier,
        blast_radius=kind.blast_radius,
        fault=cause.fault,
        confidence=cause.confidence,
        hour=local.hour,
        weekday=WEEKDAYS[local.weekday()],
        date=local.date().isoformat(),
        mode=facts.mode.value,
        production=facts.policy.production,
        environment=facts.policy.environment,
        record_samples=record.samples if record is not None else 0,
        record_bound=record.bound if record is not None else 0.0,
        error_budget_left=facts.error_budget_left,
    )


def answered(rules: Rules, answers: Sequence[RuleAnswer]) -> GuardRuling:
    """What all that match say together."""
    numbers = {"rules": float(len(rules.rules)), "matched": float(len(answers))}
    raised = max((a.tier for a in answers if a.tier is not None), default=Tier.R0)
    if raised:
        numbers["tier"] = float(raised)
    deciders = deciding(answers)
    match max(map(_decision, answers), default=Decision.ALLOW):
        case Decision.DENY:
            return deny("rules", _said(deciders), **numbers)
        case Decision.ASK:
            asks = _asks(deciders)
            numbers["approvers"] = float(max(ask.approvers for ask in asks))
            first, *more = asks
            return GuardRuling(
                "rules", Decision.ASK, _said(deciders), None, numbers, first, tuple(more)
            )
        case Decision.ALLOW:
            none = f"none of {len(rules.rules)} matches"
            return allow("rules", _said(answers) or none, **numbers)


def deciding(answers: Sequence[RuleAnswer]) -> list[RuleAnswer]:
    """The strictest of them."""
    strictest = max(map(_decision, answers), default=Decision.ALLOW)
    return [answer for answer in answers if _decision(answer) is strictest]


def _decision(answer: RuleAnswer) -> Decision:
    """A tier that a request is raised to means what it means for every request of that tier."""
    match answer.verdict:
        case Verdict.DENY:
            return Decision.DENY
        case Verdict.ASK:
            return Decision.ASK
        case Verdict.ALLOW:
            return Decision.ALLOW
        case Verdict.RAISE if answer.tier is Tier.R5:
            return Decision.DENY
        case Verdict.RAISE:
            return Decision.ASK if answer.tier in APPROVERS else Decision.ALLOW


def _asks(answers: Iterable[RuleAnswer]) -> list[Ask]:
    """Each group once, with the most that any rule asks of it."""
    most: dict[str, int] = {}
    for answer in answers:
        ask = answer.ask
        if ask is None:
            assert answer.tier is not None, "what asks without naming people raises the tier"
            ask = Ask(APPROVERS[answer.tier])
        most[ask.group] = max(ask.approvers, most.get(ask.group, 0))
    return [Ask(count, group) for group, count in sorted(most.items())]


def _said(answers: Iterable[RuleAnswer]) -> str:
    return "; ".join(f"{a.rule} {_verb(a)}: {a.because}" for a in answers)


def _verb(answer: RuleAnswer) -> str:
    match answer.verdict:
        case Verdict.ASK:
            return f"asks {answer.ask}"
        case Verdict.RAISE:
            return f"raises it to {answer.tier.name if answer.tier is not None else ''}"
        case _:
            return {"deny": "denies", "allow": "allows"}[answer.verdict.value]
