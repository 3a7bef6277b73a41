"""What searches of a collection were like, summed up: the input of their verification."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median, pvariance

from vagus.model import Retrieval, Searches, Slice


def summed_up(searches: Sequence[Retrieval]) -> Searches | None:
    """Of those that were answered and had something to find; None if there are none."""
    answered = [s for s in searches if s.failure is None and s.exact]
    if not answered:
        return None
    clusters: dict[str, list[float]] = {}
    for search in answered:
        clusters.setdefault(search.cluster, []).append(search.recall)
    return Searches(
        whole=_slice("", [search.recall for search in answered]),
        returned=fmean(min(search.returned / search.exact, 1.0) for search in answered),
        latency=median(search.latency for search in answered),
        slices=tuple(_slice(name, recalls) for name, recalls in sorted(clusters.items())),
    )


def _slice(name: str, recalls: Sequence[float]) -> Slice:
    return Slice(name, len(recalls), fmean(recalls), pvariance(recalls))
