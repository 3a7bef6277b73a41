"""Guard: whether this is still the plan."""

from __future__ import annotations

from vagus.model import GuardRuling, Request
from vagus.policy.answers import allow, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_undo


def current(request: Request, facts: Facts) -> GuardRuling:
    """Only the latest workflow of an incident that isn't over is listened to.

    Prevents a worker that was paused, or replayed, from carrying out a plan that another one has
    taken over. AWS, October 2025: a delayed worker applied an old plan over a newer one, and the
    newer one's cleanup then removed what was left. NVSentinel: a replay after a restart hit nodes
    that had long been healthy. The incident's epoch numbers its workflows, so an old one is known
    by its number, however late it comes and whatever it asks for: giving traffic back too late is
    as wrong as taking it away.

    The lease's fencing token says the same of the effect, at the moment of execution. An undo of
    what an incident left behind may come after its end.
    """
    numbers = {"epoch": float(request.epoch), "now": float(facts.epoch or 0)}
    if facts.epoch == request.epoch:
        return allow("current", "it is the incident's latest plan", **numbers)
    if facts.epoch is not None:
        reason = f"epoch {request.epoch} was superseded by {facts.epoch}"
        return deny("current", reason, **numbers)
    if is_undo(request):
        return allow("current", "the incident is over, but an undo may pass", **numbers)
    return deny("current", f"{request.incident} is over, or never was", **numbers)
