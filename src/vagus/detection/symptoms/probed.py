"""What probes meet: the same ways of failing as callers', but in questions of our own.

A probe is asked because something is suspected, so two failures in a row are enough, and when each
fails differently (a dying process resets, then refuses) three. But one that timed out while callers
were being served only stood in the queue: busy is not dead, and how slow is another's question.
"""

from __future__ import annotations

from collections.abc import Iterator

from vagus.detection import defaults
from vagus.detection.memory import SYMPTOM_OF, ReplicaMemory
from vagus.detection.reading import Peers, Reading, State
from vagus.detection.symptoms.agreement import progressed_since
from vagus.model import Failure, Probe, Sense, Symptom

_SAYS = {
    Symptom.GONE: "refuses the connections of probes",
    Symptom.HUNG: "leaves probes unanswered",
    Symptom.ERRORING: "fails probes",
    Symptom.CUTTING: "cuts off its answers to probes",
    Symptom.WRONG_SHAPE: "answers probes in the wrong shape",
}


def probed(replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]:
    failed: list[tuple[Probe, Symptom]] = []
    for probe in reversed(replica.probes):
        if probe.failure is None:
            break
        if in_queue(replica, probe):
            continue
        failed.append((probe, SYMPTOM_OF[probe.failure]))
    if not failed:
        return
    newest, symptom = failed[0]
    alike = next((i for i, (_, s) in enumerate(failed) if s is not symptom), len(failed))
    bad = alike >= defaults.PROBES_BAD or len(failed) >= defaults.PROBES_BAD_MIXED
    yield Reading(
        symptom,
        Sense.PROBE,
        State.BAD if bad else State.SUSPECT,
        sentence=(
            f"{replica.subject.replica} {_SAYS[symptom]}: {len(failed)} in a row ({newest.failure})"
        ),
        samples=len(failed),
        since=failed[-1][0].at,
        seen_at=newest.at,
    )


def in_queue(replica: ReplicaMemory, probe: Probe) -> bool:
    """Whether ``probe`` timed out while the replica was getting ahead with something else."""
    waited = probe.failure is Failure.TIMEOUT
    return waited and progressed_since(replica, probe.at - probe.duration)
