"""Injections: an experiment asks whether it may break something, and tells when it is mended.

There is one authority. Whoever breaks things on purpose asks the gate that remedies pass, in the
process that heals, and every answer is in the ledger with what each guard said. So Vagus knows of
each fault that is not an accident, and for how long.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus

from fastapi import APIRouter

from vagus.api.access import Caller, Works, needs
from vagus.api.audit import changing
from vagus.api.pages import Id
from vagus.api.views.basics import Page
from vagus.api.views.injections import (
    InjectionBody,
    InjectionEndBody,
    InjectionRuling,
    InjectionView,
)
from vagus.entries import of_injection, of_ruling
from vagus.model import Injection, Role, Ruling, Subject

router = APIRouter(prefix="/injections", tags=["injections"])

DAY = 86400.0


@router.get("", **needs(Role.VIEWER))
def list_injections(works: Works) -> Page[InjectionView]:
    """The faults that were put in on purpose in the last 24 hours, oldest first."""
    found = works.injections.since(works.clock.now() - DAY)
    return Page(items=[InjectionView.of(injection) for injection in found])


@router.post("", **needs(Role.OPERATOR))
def ask_for_injection(works: Works, caller: Caller, asked: InjectionBody) -> InjectionRuling:
    """Ask the gate whether a fault may be put in. If `allowed`, it counts as in from now on, until
    its end is told or its lease is over. A refusal is an answer, not an error: it says why."""
    component, _, replica = asked.target.partition("/")
    injection = Injection(
        id=f"inj-{secrets.token_hex(4)}",
        experiment=asked.experiment,
        fault=asked.fault,
        target=Subject(component, replica),
        does=asked.does,
        lease=asked.lease,
        cap=asked.cap,
        by=caller.name,
        asked_at=works.clock.now(),
        causes=tuple(asked.causes),
    )

    def work() -> Ruling:
        ruling = works.injections.decide(injection, lambda: works.judge_injection(injection))
        facts = of_injection(injection) | of_ruling(ruling)
        works.ledger.append(f"injection:{injection.id}", "decide", "injection.decided", facts)
        return ruling

    what = f"inject {asked.fault} into {asked.target}"
    return InjectionRuling.of(injection, changing(works, caller, what, work))


@router.post("/{injection_id}/end", **needs(Role.OPERATOR, HTTPStatus.NOT_FOUND))
def end_injection(
    works: Works, caller: Caller, injection_id: Id, asked: InjectionEndBody
) -> InjectionView:
    """Tell that the fault is out, and the experiment's verdict. Telling twice is once. A conclusive
    verdict counts for or against the remedies that acted, and may earn or cost them a licence."""

    def work() -> Injection:
        ended = works.injections.end(injection_id, asked.verdict, asked.note)
        facts = of_injection(ended)
        works.ledger.append(f"injection:{injection_id}", "end", "injection.ended", facts)
        works.prove(ended)
        return ended

    return InjectionView.of(changing(works, caller, f"end {injection_id}", work, asked.note))
