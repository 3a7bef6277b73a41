"""For each guard of the gate, a case that it alone decides; and the mutation run over them.

A guard that no case needs could be taken out without anybody noticing, and so could be broken
without anybody noticing. :func:`survivors` takes out one guard after the other (it then allows
everything) and says which of these mutants no case tells from the real gate: none may be left. The
named incidents bring cases of their own (``tests/incidents``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vagus.config import FreezeWindow, Kind, Mode
from vagus.model import (
    Decision,
    GuardRuling,
    Request,
    Sense,
    SensesReport,
    Stop,
    Subject,
    Tier,
)
from vagus.policy.answers import allow
from vagus.policy.facts import Facts, Replacement
from vagus.policy.gate import GUARDS, Guard, judge, name_of
from vagus.policy.rules import parse_rules
from vagus.testing.cases import (
    CHAT,
    NOW,
    a_finding,
    a_policy,
    a_request,
    an_intent,
    some_facts,
)


@dataclass(frozen=True, slots=True)
class Held:
    """A request that must not pass without a person, and the guard that alone holds it."""

    guard: str
    request: Request
    facts: Facts
    case: str = ""  # what it is called: the incident, or the guard itself

    @property
    def name(self) -> str:
        return self.case or self.guard


def without(name: str, guards: tuple[Guard, ...] = GUARDS) -> tuple[Guard, ...]:
    """The gate with one guard replaced by one that allows everything."""

    def removed(request: Request, facts: Facts) -> GuardRuling:
        return allow(name, "removed")

    return tuple(removed if name_of(guard) == name else guard for guard in guards)


def killers(name: str, held: Iterable[Held], guards: tuple[Guard, ...] = GUARDS) -> list[str]:
    """The cases that come out differently without the guard of this name."""
    mutant = without(name, guards)
    return [
        case.name
        for case in held
        if judge(case.request, case.facts, guards).decision
        is not judge(case.request, case.facts, mutant).decision
    ]


def survivors(held: Iterable[Held], guards: tuple[Guard, ...] = GUARDS) -> list[str]:
    """The guards whose removal no case notices."""
    cases = list(held)
    return [name for name in map(name_of, guards) if not killers(name, cases, guards)]


# --- the cases ------------------------------------------------------------------------------------

STRANGER = Subject("chat", "chat-9")
TREATED = an_intent(a_request(incident="inc-0"), age=45.0)
OTHER_TREATED = an_intent(a_request(target=CHAT[1], incident="inc-0"), age=45.0)
STARTED = an_intent(a_request(incident="inc-0"), age=10.0)
ALL_WEEK = FreezeWindow.model_validate(
    {"from": "1970-01-01 00:00", "until": "1970-02-01 00:00", "reason": "release week"}
)
FROZEN = a_policy().model_copy(update={"freeze": (ALL_WEEK,)})


ALONE: tuple[Held, ...] = (
    Held("kill_switch", a_request(), some_facts(stopped=Stop("ops", "maintenance"))),
    Held("mode", a_request(), some_facts(mode=Mode.SUGGEST)),
    Held("freeze", a_request(), some_facts(policy=FROZEN)),
    Held("senses_trusted", a_request(), some_facts(senses=SensesReport(False, "silent", 3, 3))),
    Held("current", a_request(), some_facts(epoch=2)),
    Held(
        "target_bounded",
        a_request(target=STRANGER),
        some_facts(findings=tuple(a_finding(s, subject=STRANGER) for s in (*Sense,))),
    ),
    Held("evidence", a_request(), some_facts(findings=(a_finding(),))),
    # Of a store each restart asks a person besides: the guard turns the question into a no.
    Held("hold_down", a_request(), some_facts(kind=Kind.VECTOR_STORE)),
    Held("warm_up", a_request(), some_facts(recent=(STARTED,), policy=a_policy(cooldown="0s"))),
    Held("capacity_floor", a_request(), some_facts(ejected=frozenset({CHAT[1]}))),
    Held("budget", a_request(), some_facts(recent=(OTHER_TREATED,))),
    Held("cooldown", a_request(), some_facts(recent=(TREATED,))),
    Held(
        "recreates_fault",
        a_request(),
        some_facts(
            recreated=frozenset({"replica-gone"}),
            replacements={CHAT[1]: Replacement("replica-gone", NOW - 300.0)},
        ),
    ),
    Held(
        "rules",
        a_request(),
        some_facts(
            rules=parse_rules("rules: [{name: no, when: tier > 0, then: deny, because: migration}]")
        ),
    ),
    Held("tier", a_request(tier=Tier.R3), some_facts()),
    Held("licence", a_request("replace"), some_facts()),
)
"""In the order of the gate."""


def decided_alone(held: Held) -> bool:
    """Whether its guard alone is the strictest, and the rest would let it pass, or ask."""
    ruling = judge(held.request, held.facts)
    rest = judge(held.request, held.facts, without(held.guard))
    return (
        ruling.decision is not Decision.ALLOW
        and [said.guard for said in ruling.deciding] == [held.guard]
        and rest.decision < ruling.decision
    )


def broken(name: str, guards: tuple[Guard, ...] = GUARDS) -> tuple[Guard, ...]:
    """The gate with one guard that raises."""

    def raising(request: Request, facts: Facts) -> GuardRuling:
        raise KeyError(name)

    raising.__name__ = name
    return tuple(raising if name_of(guard) == name else guard for guard in guards)
