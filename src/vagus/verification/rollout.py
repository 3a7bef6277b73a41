"""Promote, roll back, or not enough seen: what is known of a rollout, for whoever waits to go on.

It is asked by a pipeline and answered from the same evidence that heals: what callers and probes
saw of the replicas that got the new version, since they got it. The burden of proof lies with the
new version. Silence promotes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from vagus.model import Incident, IncidentState, Observed, Rollout, Subject

SOAK = 60.0  # s that a version must have served before it can be promoted
MIN_SEEN = 20  # answers and good probes together, of each replica
MAX_FAILED_SHARE = 0.05  # of callers' attempts; more speaks against it


class Promotion(StrEnum):
    PROMOTE = "promote"
    ROLL_BACK = "roll-back"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class RolloutVerdict:
    promotion: Promotion
    sentence: str


def judge_rollout(
    rollout: Rollout,
    seen: Mapping[Subject, Observed],
    incidents: Iterable[Incident],
    now: float,
    *,
    warm_up: float,
    soak: float = SOAK,
) -> RolloutVerdict:
    """What to do with ``rollout``. ``seen``: of each of its replicas since it started;
    ``incidents``: any that might concern it, those that are over included; ``warm_up``: seconds
    that a replica may take to start."""
    if rollout.verdict == "rolled-back":
        return RolloutVerdict(Promotion.ROLL_BACK, "it was rolled back")
    against = [i for i in incidents if _speaks_against(i, rollout, warm_up)]
    if against:
        first = min(against, key=lambda incident: incident.opened_at)
        return RolloutVerdict(Promotion.ROLL_BACK, f"{first.id}: {first.cause.sentence}")
    thin = []
    for name in rollout.replicas:
        observed = seen.get(Subject(rollout.component, name))
        answers = 0 if observed is None else observed.attempts + observed.probes_ok_in_a_row
        if observed is not None and observed.attempts_failed > MAX_FAILED_SHARE * max(
            MIN_SEEN, observed.attempts
        ):
            failed = f"{observed.attempts_failed} of {observed.attempts} requests failed"
            return RolloutVerdict(Promotion.ROLL_BACK, f"{name}: {failed}")
        if answers < MIN_SEEN:
            thin.append(f"{name} gave {answers} answers of {MIN_SEEN}")
    served = now - rollout.started_at
    if served < soak:
        thin.append(f"it has served for {served:.0f} of {soak:.0f} s")
    if thin:
        return RolloutVerdict(Promotion.INCONCLUSIVE, "; ".join(thin))
    return RolloutVerdict(Promotion.PROMOTE, f"nothing speaks against it after {served:.0f} s")


def _speaks_against(incident: Incident, rollout: Rollout, warm_up: float) -> bool:
    """Found on one of its replicas since they got the version, and neither gone by itself nor what
    every start looks like: gone for a moment, and well since."""
    if not rollout.covers(incident.subject) or incident.opened_at < rollout.started_at:
        return False
    if incident.opened_at - rollout.started_at < warm_up:
        return incident.state not in (IncidentState.SUBSIDED, IncidentState.RESOLVED)
    return incident.state is not IncidentState.SUBSIDED
