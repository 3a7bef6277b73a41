"""The catalogue of known faults: data, in order of precedence.

A fault that explains more comes first: a replica that is gone also cuts its streams, resets its
callers and is missed by the scraper, and none of those names what happened. Playbooks are written
for these names. SILENT suggests none of them: missing metrics are no sickness.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vagus.model import Symptom


@dataclass(frozen=True, slots=True)
class Fault:
    """``shown_by`` is the symptom without which it isn't this fault; ``also`` are symptoms that it
    explains and that make it more credible, with how much (0 to 1)."""

    name: str
    shown_by: Symptom | None  # None: it is told from a change and not from a symptom
    also: Mapping[Symptom, float]
    sentence: str  # {subject} is its name, {evidence} the sentence of the strongest finding
    harm: float = 1.0  # the share of what it is asked that goes wrong


RETRIEVAL = (
    Fault(
        "index-invalid",
        Symptom.INDEX_INVALID,
        {},
        "the index of {subject} is broken: {evidence}",
        harm=0.3,  # what is found is right, and late
    ),
    Fault(
        "tombstones",
        Symptom.ROWS_MISSING,
        {Symptom.RECALL_LOW: 0.3, Symptom.SLICE_LOW: 0.2},
        "deleted rows are in the way of searches of {subject}: {evidence}",
        harm=0.8,
    ),
    Fault(
        "index-degraded",
        Symptom.RECALL_LOW,
        {Symptom.SLICE_LOW: 0.2},
        "the index of {subject} finds the wrong rows: {evidence}",
        harm=0.6,
    ),
    Fault(
        "stale-centroids",
        Symptom.SLICE_LOW,
        {},
        "the index of {subject} does not know what came in since: {evidence}",
        harm=0.4,
    ),
    Fault(
        "embedding-mismatch",
        Symptom.GOLDEN_FAILING,
        {Symptom.GOLDEN_LOST: 0.2},
        "queries of {subject} are embedded otherwise than its documents: {evidence}",
    ),
    Fault(
        "documents-missing",
        Symptom.GOLDEN_LOST,
        {},
        "documents of {subject} are missing or spoilt: {evidence}",
        harm=0.4,
    ),
)
"""What is wrong with a collection, told by comparing three answers to one query: what callers get,
what an exact search gives, and what is expected. Approximate differs from exact: the index, as a
whole or for what came in since it was built. Fewer rows: deleted ones. Both agree, and golden
queries fail: all of them, the model that embeds; some, their documents. The index comes first,
because it can be mended while the others are asked about."""

_CATALOGUE = (
    Fault(
        "replica-gone",
        Symptom.GONE,
        {Symptom.CUTTING: 0.3, Symptom.ERRORING: 0.3, Symptom.SILENT: 0.2, Symptom.HUNG: 0.2},
        "{subject} is gone: {evidence}",
        harm=0.8,  # a refused connection can be tried elsewhere
    ),
    Fault(
        "replica-hung",
        Symptom.HUNG,
        {Symptom.SLOW: 0.4, Symptom.SILENT: 0.2, Symptom.CUTTING: 0.1, Symptom.ERRORING: 0.1},
        "{subject} hangs: {evidence}",
    ),
    Fault(
        "replica-wrong-shape",
        Symptom.WRONG_SHAPE,
        {Symptom.ERRORING: 0.1},
        "{subject} answers in the wrong shape: {evidence}",
    ),
    Fault(
        "replica-erroring",
        Symptom.ERRORING,
        {Symptom.CUTTING: 0.3, Symptom.SLOW: 0.1},
        "{subject} fails: {evidence}",
    ),
    Fault(
        "replica-cutting-streams",
        Symptom.CUTTING,
        {Symptom.SLOW: 0.1},
        "{subject} cuts its streams: {evidence}",
    ),
    Fault(
        "version-regressed",
        None,
        {},
        "{subject} fell ill with a new version: {evidence}",
    ),
    Fault("replica-nonsense", Symptom.NONSENSE, {}, "{subject} talks nonsense: {evidence}"),
    Fault(
        "replica-slow",
        Symptom.SLOW,
        {Symptom.SLOWER: 0.5, Symptom.DECLINING: 0.3, Symptom.SATURATING: 0.3},
        "{subject} is slow: {evidence}",
        harm=0.4,
    ),
    Fault(
        "errors-rising",
        Symptom.FAILING,
        {Symptom.SLOWER: 0.2, Symptom.DECLINING: 0.2},
        "{subject} fails more often than usual: {evidence}",
        harm=0.4,
    ),
    Fault(
        "latency-rising",
        Symptom.SLOWER,
        {Symptom.SATURATING: 0.4, Symptom.DECLINING: 0.4},
        "{subject} is slower than usual: {evidence}",
        harm=0.3,
    ),
    Fault(
        "saturation-rising",
        Symptom.SATURATING,
        {Symptom.DECLINING: 0.3},
        "{subject} fills up: {evidence}",
        harm=0.3,
    ),
    Fault(
        "throughput-falling",
        Symptom.DECLINING,
        {},
        "{subject} gets less done than usual: {evidence}",
        harm=0.3,
    ),
    Fault(
        "quality-falling",
        Symptom.DEGRADED,
        {},
        "{subject} gives worse than usual: {evidence}",
        harm=0.3,
    ),
    Fault(
        "objective-burning",
        Symptom.BURNING,
        {},
        "{subject} breaks its objective: {evidence}",
        harm=0.5,
    ),
    *RETRIEVAL,
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _CATALOGUE}
"""By name; iterates in order of precedence."""


def harm_of(fault: str) -> float:
    """What a fault does to whoever is sent there; one that nobody knows is taken for the worst."""
    known = FAULTS.get(fault)
    return 1.0 if known is None else known.harm
