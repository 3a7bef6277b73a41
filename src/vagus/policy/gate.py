"""The gate: every remedy passes here, and every guard is asked.

The list below is the whole policy, in the order in which a person would ask. The strictest answer
wins, and all answers are kept, with their numbers: in the ledger one reads not only what forbade a
thing but also how near the others were. Where the strictest is a question, people's yes takes its
place, if they said it to exactly this (:mod:`.approvals`). The gate fails closed. A guard that
raises denies, and a gate without guards lets nothing pass.

Guards are pure, so by themselves they would race: two requests that are judged at the same moment
would both see the last free place. The gate is therefore only asked from inside of
:meth:`~vagus.ports.Intents.decide`, which holds the write lock until the answer is written down.
"""

from __future__ import annotations

from collections.abc import Callable

from vagus.model import Decision, GuardRuling, Request, Ruling
from vagus.policy.answers import deny
from vagus.policy.approvals import settle
from vagus.policy.facts import Facts
from vagus.policy.guards.budget import budget
from vagus.policy.guards.capacity_floor import capacity_floor
from vagus.policy.guards.cooldown import cooldown
from vagus.policy.guards.current import current
from vagus.policy.guards.evidence import evidence
from vagus.policy.guards.freeze import freeze
from vagus.policy.guards.hold_down import hold_down
from vagus.policy.guards.kill_switch import kill_switch
from vagus.policy.guards.licence import licence
from vagus.policy.guards.mode import mode
from vagus.policy.guards.recreates_fault import recreates_fault
from vagus.policy.guards.rules import rules
from vagus.policy.guards.senses_trusted import senses_trusted
from vagus.policy.guards.target_bounded import target_bounded
from vagus.policy.guards.tier import tier
from vagus.policy.guards.warm_up import warm_up

Guard = Callable[[Request, Facts], GuardRuling]

GUARDS: tuple[Guard, ...] = (
    kill_switch,
    mode,
    freeze,
    senses_trusted,
    current,
    target_bounded,
    evidence,
    hold_down,
    warm_up,
    capacity_floor,
    budget,
    cooldown,
    recreates_fault,
    rules,
    tier,
    licence,
)


def judge(request: Request, facts: Facts, guards: tuple[Guard, ...] = GUARDS) -> Ruling:
    """Ask every guard; the strictest answer is the ruling, unless it is a question that people have
    answered with yes."""
    said = tuple(_ask(guard, request, facts) for guard in guards)
    ruling = Ruling(max((answer.decision for answer in said), default=Decision.DENY), said)
    try:
        return settle(request, facts, ruling)
    except Exception as error:  # noqa: BLE001  what can't be bound can't be asked or approved
        return Ruling(Decision.DENY, (*said, _broken("approvals", error)))


def _ask(guard: Guard, request: Request, facts: Facts) -> GuardRuling:
    try:
        return guard(request, facts)
    except Exception as error:  # noqa: BLE001  whatever it is: a guard that can't answer denies
        return _broken(name_of(guard), error)


def name_of(guard: Guard) -> str:
    return getattr(guard, "__name__", type(guard).__name__)


def _broken(name: str, error: Exception) -> GuardRuling:
    return deny(name, f"it broke, and what can't be judged is not done: {error!r}")
