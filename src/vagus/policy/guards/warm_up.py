"""Guard: whether its target had time to start."""

from __future__ import annotations

from collections.abc import Iterator

from vagus.model import GuardRuling, IntentState, Purpose, Request, Subject
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_treatment


def warm_up(request: Request, facts: Facts) -> GuardRuling:
    """A process that was started is not treated before it could be up.

    Prevents what a start looks like from being taken for a fault. AWS, October 2025: health checks
    of load balancers hit hosts whose network was not ready yet, failed, took capacity away, passed
    and gave it back, round and round. A model server may load its weights for minutes, and refuses
    or crawls meanwhile.

    A replacement counts from when it joined, and a replica that gets a new version from when its
    rollout began: every canary is gone for a moment, and who is asked each time whether to roll it
    back learns to say yes to anything. Once traffic was given to it, everything counts: then
    callers are hurt, whatever the reason. Moves of traffic pass, as taking callers away from what
    isn't ready is right.
    """
    target = request.remedy.target
    if not is_treatment(request):
        return allow("warm_up", "it touches no process")
    started = max(_starts(target, facts), default=None)
    if started is None:
        return allow("warm_up", f"nobody told of a start of {target}")
    age = facts.now - started
    numbers = {"age": age, "warm_up": facts.warm_up}
    if any(returned > started for returned in _returns(target, facts)):
        return allow("warm_up", f"{target} was given traffic since it was started", **numbers)
    if age >= facts.warm_up:
        return allow("warm_up", f"{target} was started {age:.0f} s ago", **numbers)
    wait = min(facts.warm_up - age, facts.warm_up)
    reason = f"{target} was started {max(age, 0.0):.0f} s ago and may take {facts.warm_up:g} s"
    return deny("warm_up", reason, retry_after=wait, **numbers)


def _starts(target: Subject, facts: Facts) -> Iterator[float]:
    if target in facts.replacements:
        yield facts.replacements[target].at
    if facts.rollout is not None and facts.rollout.covers(target):
        yield facts.rollout.started_at
    for intent in facts.recent:
        asked = intent.request
        if asked.remedy.target == target and is_treatment(asked) and _done(intent.state):
            yield intent.acted_at or intent.created_at


def _returns(target: Subject, facts: Facts) -> Iterator[float]:
    for intent in facts.recent:
        asked = intent.request
        returning = asked.purpose is Purpose.RETURN and asked.remedy.target == target
        if returning and _done(intent.state):
            yield intent.acted_at or intent.created_at


def _done(state: IntentState) -> bool:
    return state in (IntentState.APPLIED, IntentState.ACTING)
