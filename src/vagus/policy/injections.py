"""The gate for faults that are put in on purpose.

It is the gate that remedies pass, with its guards where they mean the same: a person's stop, a
freeze, rules and tiers hold for whoever would touch the stack, and the capacity floor doesn't care
why a replica is taken away. Four are different. Three look at what only an experiment has to fear:
a real incident, another experiment, too many of them. And *shadow* and *suggest*, which bind what
Vagus does by itself, don't forbid what a person has started; only *off* does.

What can't be judged is not done, here too: a guard that raises denies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vagus._units import Rate
from vagus.config import Mode
from vagus.model import GuardRuling, Incident, Injection, Request, Ruling
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.gate import Guard, judge
from vagus.policy.guards.capacity_floor import capacity_floor
from vagus.policy.guards.freeze import freeze
from vagus.policy.guards.kill_switch import kill_switch
from vagus.policy.guards.rules import rules
from vagus.policy.guards.senses_trusted import senses_trusted
from vagus.policy.guards.target_bounded import target_bounded
from vagus.policy.guards.tier import tier
from vagus.policy.tiers import blast_radius

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Around:
    """What is so now, and matters to experiments alone."""

    incidents: Sequence[Incident]  # active, anywhere in the stack
    open: Sequence[Injection]
    recent: Sequence[Injection]  # within the budget's period, open ones too
    budget: Rate
    cap: float  # share of the component's capacity that this one may take


def judge_injection(request: Request, facts: Facts, around: Around) -> Ruling:
    """Ask every guard; the strictest answer is the ruling."""
    return judge(request, facts, guards(around))


def guards(around: Around) -> tuple[Guard, ...]:
    """The list, in the order in which a person would ask."""

    def mode(request: Request, facts: Facts) -> GuardRuling:
        """Off is off: also for whoever breaks things."""
        if facts.mode is Mode.OFF:
            return deny("mode", "off: nothing is done, and nobody would heal it")
        return allow("mode", f"{facts.mode.value}: a person started this experiment")

    def calm(request: Request, facts: Facts) -> GuardRuling:
        """Nothing is broken on purpose while something is broken by accident: it would hide the one
        behind the other, and take from callers twice."""
        count = float(len(around.incidents))
        if not around.incidents:
            return allow("calm", "no incident is open", incidents=count)
        first = around.incidents[0]
        reason = f"a real incident is open: {first.cause.fault} on {first.subject} ({first.id})"
        return deny("calm", reason, incidents=count)

    def alone(request: Request, facts: Facts) -> GuardRuling:
        """One fault at a time: of two, nobody could say which did the harm."""
        if not around.open:
            return allow("alone", "no other fault is in", open=0.0)
        other = around.open[0]
        wait = max(0.0, other.ends_by - facts.now)
        reason = f"{other.fault} on {other.target} is in already ({other.id}, by {other.by})"
        return deny("alone", reason, retry_after=wait, open=float(len(around.open)))

    def chaos_budget(request: Request, facts: Facts) -> GuardRuling:
        """So many experiments in such a time, and no more, however they are started."""
        places, taken = int(around.budget.count), len(around.recent)
        numbers = {"places": float(places), "taken": float(taken)}
        spent = f"{taken} of {places} experiments in {around.budget.period:g} s are spent"
        if taken < places:
            return allow("chaos_budget", spent, **numbers)
        oldest = sorted(injection.asked_at for injection in around.recent)[taken - places]
        wait = max(0.0, oldest + around.budget.period - facts.now)
        return deny("chaos_budget", spent, retry_after=wait, **numbers)

    def blast_cap(request: Request, facts: Facts) -> GuardRuling:
        """No more of the component than whoever wrote the intent allowed."""
        share = blast_radius(request, facts)
        numbers = {"blast_radius": share, "cap": around.cap}
        reason = f"it takes {share:.0%} of {request.remedy.target.component}"
        if share <= around.cap + _ROUNDING:
            return allow("blast_cap", reason, **numbers)
        return deny("blast_cap", f"{reason}, and the cap is {around.cap:.0%}", **numbers)

    return (
        kill_switch,
        mode,
        freeze,
        senses_trusted,
        target_bounded,
        calm,
        alone,
        chaos_budget,
        capacity_floor,
        blast_cap,
        rules,
        tier,
    )
