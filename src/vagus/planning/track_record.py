"""Experience puts treatments in order.

The order of a playbook is the prior: somebody thought about it, and the mildest comes first. It
changes only where the record is *clear*: a remedy goes behind another if the highest success rate
that its record allows is below the lowest that the other's record proves, each with 95 %
confidence. Two or three unlucky outcomes move nothing, a remedy that was never tried is neither
promoted nor demoted, and what isn't clearly different keeps the order of the playbook.

Order is all that experience decides here. Whether a remedy may be done now is the gate's question,
whatever its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vagus.model import Remedy, TrackRecord

RecordOf = Callable[[str], TrackRecord]
"""How the action of this name fared for the fault and the component at hand."""


def clearly_worse(one: TrackRecord, other: TrackRecord) -> bool:
    """Whether all that ``one`` may be lies below all that ``other`` is at least."""
    return one.at_most < other.bound


def arrange(
    treatments: Sequence[Remedy], record_of: RecordOf
) -> tuple[tuple[Remedy, ...], tuple[str, ...]]:
    """``treatments`` with those behind that are clearly worse than a later one, and a sentence for
    each that lost its place. Stable: all else stays in order."""
    records = {remedy.action: record_of(remedy.action) for remedy in treatments}

    def is_worse(one: Remedy, other: Remedy) -> bool:
        return clearly_worse(records[one.action], records[other.action])

    waiting, arranged = list(treatments), list[Remedy]()
    while waiting:
        # Being clearly worse is a strict order (of intervals), so somebody is always unbeaten.
        chosen = next(r for r in waiting if not any(is_worse(r, other) for other in waiting))
        waiting.remove(chosen)
        arranged.append(chosen)
    reasons = []
    for place, remedy in enumerate(treatments):
        better = next((o for o in treatments[place + 1 :] if is_worse(remedy, o)), None)
        if better is not None:
            reasons.append(f"{records[remedy.action]}; {records[better.action]}")
    return tuple(arranged), tuple(reasons)
