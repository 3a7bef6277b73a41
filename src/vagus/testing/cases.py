"""Requests and facts for tests of guards: a world in which a restart of ``chat-1`` is allowed.

Each test changes it in the one respect that it is about.
"""

from __future__ import annotations

from vagus.config import Kind, Mode, PolicySettings
from vagus.model import (
    Answer,
    Ask,
    Cause,
    Check,
    Decision,
    Finding,
    Intent,
    IntentState,
    Proposal,
    ProposalState,
    Purpose,
    Remedy,
    Request,
    Ruling,
    Sense,
    SensesReport,
    Sheet,
    Subject,
    Symptom,
    Tier,
)
from vagus.policy.approvals import binding
from vagus.policy.facts import Facts

NOW = 1_000_000.0
CHAT = tuple(Subject("chat", f"chat-{n}") for n in (1, 2, 3))


def a_request(
    action: str = "restart",
    *,
    purpose: Purpose = Purpose.TREAT,
    target: Subject = CHAT[0],
    share: float = 0.0,
    tier: Tier = Tier.R1,
    incident: str = "inc-1",
    rung: int = 0,
) -> Request:
    cause = Cause("replica-gone", target, 0.9)
    return Request(purpose, incident, 1, rung, 1, Remedy(action, target, share), cause, tier)


def a_finding(
    sense: Sense = Sense.PROBE,
    symptom: Symptom = Symptom.HUNG,
    *,
    subject: Subject = CHAT[0],
    age: float = 1.0,
    lasting: float = 0.0,
    closed: bool = False,
) -> Finding:
    return Finding(
        subject=subject,
        symptom=symptom,
        sense=sense,
        opened_at=NOW - age - lasting,
        last_seen_at=NOW - age,
        sentence="it makes no progress",
        closed_at=NOW if closed else None,
    )


def an_intent(
    request: Request, state: IntentState = IntentState.APPLIED, *, age: float = 0.0
) -> Intent:
    began = state not in (IntentState.WRITTEN, IntentState.SHADOW, IntentState.REFUSED)
    return Intent(
        request=request,
        ruling=Ruling(Decision.ALLOW, ()),
        state=state,
        check=Check(request.remedy.target, 3, 5.0, 60.0),
        created_at=NOW - age,
        acted_at=NOW - age if began else None,
    )


def a_policy(
    *, floor: float = 0.5, budget: str = "34% per 10m", cooldown: str = "60s"
) -> PolicySettings:
    return PolicySettings.model_validate({"floor": floor, "budget": budget, "cooldown": cooldown})


def some_facts(**changes: object) -> Facts:
    known: dict[str, object] = {
        "now": NOW,
        "mode": Mode.AUTO,
        "stopped": None,
        "senses": SensesReport(True),
        "policy": a_policy(),
        "replicas": frozenset(CHAT),
        "shares": {},
        "ejected": frozenset(),
        "dead": frozenset(),
        "findings": (a_finding(Sense.PROBE), a_finding(Sense.GATEWAY)),
        "unfinished": (),
        "recent": (),
        "epoch": 1,
        "kind": Kind.MODEL_SERVER,
    }
    assert changes.keys() <= set(Facts.__slots__)
    return Facts(**(known | changes))  # type: ignore[arg-type]


def a_proposal(
    request: Request,
    facts: Facts,
    *answers: Answer,
    asks: tuple[Ask, ...] = (Ask(1),),
    state: ProposalState = ProposalState.APPROVED,
    age: float = 60.0,
    lasts: float = 900.0,
) -> Proposal:
    """Opened ``age`` seconds ago, for ``request`` in the world of ``facts``."""
    return Proposal(
        request=request,
        asks=asks,
        binding=binding(request, facts),
        sheet=Sheet("restart chat-1", ("it hangs",), "hung", 0.9, "", "", "", "", ""),
        created_at=NOW - age,
        expires_at=NOW - age + lasts,
        state=state,
        answers=answers,
    )


def yes(by: str, *, age: float = 1.0) -> Answer:
    return Answer(by, True, NOW - age)


def no(by: str, *, age: float = 1.0) -> Answer:
    return Answer(by, False, NOW - age)
