"""NONSENSE: the right shape, at the right pace, with the wrong words in it.

Damaged weights, a bad quantisation or a wrong template leave every metric green. Siblings have the
same weights and probes decode greedily, so all of them give nearly the same answer; who alone gives
another one is wrong, whatever the right one may be. With a single sibling it would be one word
against the other's, so there the replica's own earlier answer, from when both agreed, decides.

Words are refuted by words alone. That a probe was answered says nothing here, and neither does a
moment in which there is nobody to compare with: a sibling that times out once on a busy machine
must not acquit the one beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations, takewhile
from math import sqrt

from vagus.config import Kind
from vagus.detection import defaults
from vagus.detection.memory import ReplicaMemory
from vagus.detection.reading import Peers, Reading, State
from vagus.model import Probe, Sense, Symptom

_FOUND = (Symptom.NONSENSE, Sense.PROBE)


def nonsense(replica: ReplicaMemory, peers: Peers, now: float) -> Iterator[Reading]:
    if peers.kind is not Kind.MODEL_SERVER or not replica.probes:
        return
    # Whoever is slow, or breaks off now and then, is a witness all the same.
    sane = (s for s in peers.siblings if _FOUND not in s.found)
    witnesses = [answer for s in sane if (answer := _latest_answer(s, now))]
    if len(witnesses) < 2 and replica.usual_answer:
        witnesses.append(replica.usual_answer)
    if len(witnesses) < 2 or not _agree(witnesses):
        _learn(replica, witnesses)
        return
    answered = (probe for probe in reversed(replica.probes) if _speaks(probe))
    strange = list(takewhile(lambda probe: _likeness(probe, witnesses) < defaults.UNLIKE, answered))
    if not strange:
        _learn(replica, witnesses)
        yield from _refuted(replica, witnesses)
        return
    newest = strange[0]
    bad = len(strange) >= defaults.PROBES_NONSENSE
    yield Reading(
        Symptom.NONSENSE,
        Sense.PROBE,
        State.BAD if bad else State.SUSPECT,
        sentence=(
            f"{replica.subject.replica} answers {_excerpt(newest.answer)} where"
            f" its siblings answer {_excerpt(witnesses[0])} ({len(strange)} probes in a row)"
        ),
        samples=len(strange),
        observed=_likeness(newest, witnesses),
        expected=1.0,
        unit="similarity",
        since=strange[-1].at,
        seen_at=newest.at,
    )


def _refuted(replica: ReplicaMemory, witnesses: Sequence[str]) -> Iterator[Reading]:
    """It says what its siblings say, as often and for as long as any evidence of health takes."""
    if _FOUND not in replica.found:
        return
    for count, probe in enumerate(reversed(replica.probes), 1):
        if not _speaks(probe) or _likeness(probe, witnesses) < defaults.UNLIKE:
            return
        spans = replica.probes[-1].at - probe.at >= defaults.GOOD_SPAN_S
        if count >= defaults.GOOD_PROBES and spans:
            yield Reading(Symptom.NONSENSE, Sense.PROBE, State.GOOD, since=probe.at)
            return


def _speaks(probe: Probe) -> bool:
    return probe.failure is None and bool(probe.answer)


def _likeness(probe: Probe, witnesses: Sequence[str]) -> float:
    return max(similarity(probe.answer, witness) for witness in witnesses)


@lru_cache(maxsize=512)
def similarity(one: str, other: str) -> float:
    """Cosine of the counts of character trigrams, 0 to 1."""
    a, b = _trigrams(one), _trigrams(other)
    dot = sum(count * b[gram] for gram, count in a.items())
    norm = sqrt(sum(c * c for c in a.values()) * sum(c * c for c in b.values()))
    return dot / norm if norm else 0.0


def _trigrams(text: str) -> Counter[str]:
    padded = f"  {' '.join(text.lower().split())[: defaults.ANSWER_CHARS]}  "
    return Counter(padded[i : i + 3] for i in range(len(padded) - 2))


def _latest_answer(replica: ReplicaMemory, now: float) -> str:
    """The last that it gave: that it was busy since takes nothing back."""
    fresh = (p for p in reversed(replica.probes) if now - p.at < defaults.PROBE_FRESH_S)
    return next((probe.answer for probe in fresh if _speaks(probe)), "")


def _agree(answers: Sequence[str]) -> bool:
    return all(similarity(a, b) >= defaults.ALIKE for a, b in combinations(answers, 2))


def _learn(replica: ReplicaMemory, witnesses: Sequence[str]) -> None:
    """Keep an answer that a sibling gives as well: that is what *usual* means."""
    answer = replica.probes[-1].answer
    if answer and any(similarity(answer, w) >= defaults.ALIKE for w in witnesses):
        replica.usual_answer = answer


def _excerpt(text: str) -> str:
    short = " ".join(text.split())
    return f"'{short[:40]}...'" if len(short) > 40 else f"'{short}'"
