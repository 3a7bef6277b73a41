"""GONE, HUNG, ERRORING, CUTTING and WRONG_SHAPE, as requests through the gateway show them.

Counting "five in a row" is right for no rate and every rate is somebody's. A sequential test asks
the question itself: how much more likely are the answers of this replica if it is sick than if it
were as good as its siblings? Each bad one adds to that, each good one takes away, it never falls
below nothing (Page's CUSUM), and a finding opens when it is enough. At a low background four bad
ones in a row do it, two when another sense agrees; one in two does it within about ten; and if
siblings fail as often, nothing ever does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vagus.detection import defaults
from vagus.detection.memory import Answer, ReplicaMemory
from vagus.detection.reading import Peers, Reading, State
from vagus.detection.reference import lower_median
from vagus.detection.symptoms.agreement import good_probes_since, others_agree
from vagus.model import Sense, Symptom

_DOES = {
    Symptom.GONE: "refuses connections",
    Symptom.HUNG: "lets requests time out",
    Symptom.ERRORING: "fails requests",
    Symptom.CUTTING: "cuts its answers off midway",
    Symptom.WRONG_SHAPE: "answers in the wrong shape",
}


@dataclass(slots=True)
class _Run:
    """The evidence since it last amounted to nothing."""

    score: float = 0.0
    bad: int = 0
    total: int = 0
    since: float = 0.0
    last: Answer | None = None


def failing(replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]:
    recent = _recent(replica, now)
    seen = {a.symptom for a in recent if a.symptom is not None}
    for symptom in _DOES:
        if symptom in seen:
            yield from _one(symptom, replica, recent, peers, now)


def _recent(replica: ReplicaMemory, now: float) -> list[Answer]:
    """The last answers, in the order in which they ended."""
    recent: list[Answer] = []
    for answer in reversed(replica.answers):
        if len(recent) >= defaults.FAILING_WINDOW or now - answer.at > defaults.RECENT_S:
            break
        recent.append(answer)
    recent.sort(key=lambda a: a.at)
    return recent


def _one(
    symptom: Symptom, replica: ReplicaMemory, recent: list[Answer], peers: Peers, now: float
) -> Iterator[Reading]:
    anyway = _anyway(symptom, peers, now)
    run = _weigh(symptom, recent, anyway)
    if run.last is None or run.score <= 0:
        return
    agreed = others_agree(replica, Sense.GATEWAY, now)
    enough = defaults.FAILING_ENOUGH * (defaults.AGREED if agreed else 1.0)
    bad = run.score >= enough and run.bad >= 2
    if not bad and not _still_suspect(replica, run.last, now):
        return
    detail = f" ({run.last.detail})" if run.last.detail else ""
    yield Reading(
        symptom,
        Sense.GATEWAY,
        State.BAD if bad else State.SUSPECT,
        sentence=(
            f"{replica.subject.replica} {_DOES[symptom]}: {run.bad} of its last {run.total}"
            f" requests{detail}"
        ),
        samples=run.bad,
        observed=run.bad / run.total,
        expected=anyway,
        unit="share",
        since=run.since,
        seen_at=run.last.at,
    )


def _still_suspect(replica: ReplicaMemory, last: Answer, now: float) -> bool:
    if now - last.at > defaults.SUSPICION_S:
        return False
    return good_probes_since(replica, last.at) < defaults.GOOD_PROBES


def _anyway(symptom: Symptom, peers: Peers, now: float) -> float:
    """The share that fails at a sibling as things are: half as much again as the lower median."""
    least = defaults.REFUSED_ANYWAY if symptom is Symptom.GONE else defaults.FAILING_ANYWAY
    shares = []
    for sibling in peers.siblings:
        recent = _recent(sibling, now)
        if len(recent) >= defaults.SLOW_MIN_SIBLINGS_ANSWERS:
            shares.append(sum(1 for a in recent if a.symptom is symptom) / len(recent))
    usual = lower_median(shares) if shares else 0.0
    return min(max(least, 1.5 * usual), defaults.FAILING_ANYWAY_MOST)


def _weigh(symptom: Symptom, recent: list[Answer], anyway: float) -> _Run:
    up = defaults.gain(defaults.FAILING_SHARE, anyway)
    down = defaults.loss(defaults.FAILING_SHARE, anyway)
    run = _Run()
    blow = float("-inf")
    for answer in recent:
        if answer.symptom is symptom:
            if answer.broke and answer.at - blow < defaults.ONE_BLOW_S:
                continue
            blow = answer.at
            if run.score <= 0:
                run = _Run(since=answer.at)
            run.score += up
            run.bad += 1
            run.total += 1
            run.last = answer
        elif answer.symptom is None and not answer.abandoned:
            run.score = max(0.0, run.score - down)
            run.total += 1
    return run
