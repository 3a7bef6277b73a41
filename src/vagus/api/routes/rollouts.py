"""Rollouts: a pipeline tells of a new version, and asks whether it may go on."""

from __future__ import annotations

import secrets
from http import HTTPStatus

from fastapi import APIRouter

from vagus.api.access import Caller, Works, needs
from vagus.api.audit import changing
from vagus.api.pages import Id
from vagus.api.problems import Problem
from vagus.api.served import Served
from vagus.api.views.basics import Page
from vagus.api.views.rollouts import GateView, RolloutBody, RolloutEndBody, RolloutView
from vagus.errors import NotFound
from vagus.model import Role, Rollout

router = APIRouter(prefix="/rollouts", tags=["rollouts"])


@router.get("", **needs(Role.VIEWER))
def list_rollouts(works: Works) -> Page[RolloutView]:
    """The latest rollout of each component."""
    latest = sorted(works.rollouts.latest().values(), key=lambda rollout: rollout.component)
    return Page(items=[RolloutView.of(rollout) for rollout in latest])


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    **needs(Role.OPERATOR, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
)
def start_rollout(works: Works, caller: Caller, asked: RolloutBody) -> RolloutView:
    """Tell that replicas are about to get a version. One rollout of a component at a time."""
    _check(works, asked)
    rollout = Rollout(
        id=f"rol-{secrets.token_hex(4)}",
        component=asked.component,
        version=asked.version,
        previous=asked.previous,
        replicas=tuple(asked.replicas),
        started_at=works.clock.now(),
        started_by=caller.name,
    )
    what = f"roll out {asked.version} on {', '.join(asked.replicas)}"
    started = changing(works, caller, what, lambda: works.rollouts.start(rollout))
    return RolloutView.of(started)


@router.post("/{rollout_id}/end", **needs(Role.OPERATOR, HTTPStatus.NOT_FOUND))
def finish_rollout(
    works: Works, caller: Caller, rollout_id: Id, asked: RolloutEndBody
) -> RolloutView:
    """Tell that it is over, and how. Telling twice is once: the first word stands."""
    known = _known(works, rollout_id)

    def work() -> Rollout:
        return works.rollouts.finish(known.id, asked.verdict)

    return RolloutView.of(changing(works, caller, f"{asked.verdict}: {known.id}", work))


@router.get("/{rollout_id}/gate", **needs(Role.VIEWER, HTTPStatus.NOT_FOUND))
def ask_gate(works: Works, rollout_id: Id) -> GateView:
    """Whether to promote it, to roll it back, or to wait: what callers and probes saw so far."""
    verdict = works.judge_rollout(_known(works, rollout_id))
    return GateView(promotion=verdict.promotion, sentence=verdict.sentence)


def _known(works: Served, rollout_id: str) -> Rollout:
    known = works.rollouts.get(rollout_id)
    if known is None:
        raise NotFound("there is no such rollout", where=rollout_id)
    return known


def _check(works: Served, asked: RolloutBody) -> None:
    """Raises Problem 422 for what this stack does not have."""
    component = works.settings.stack.get(asked.component)
    there = sorted(works.settings.stack if component is None else component.replicas)
    missing = [name for name in asked.replicas if component is None or name not in there]
    if missing:
        what = f"component {asked.component}" if component is None else f"replica {missing[0]}"
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"there is no {what} here",
            mend=f"one of: {', '.join(there)}",
        )
