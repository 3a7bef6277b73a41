"""From searches to findings and their faults: the matrix of what differs from what."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from vagus.config import Kind
from vagus.detection.retrieval.detector import RetrievalDetector
from vagus.diagnosis.rank import cause
from vagus.model import INVALID, Failure, Finding, Retrieval, Subject, Symptom
from vagus.topology import ComponentNode, Topology

PASSAGES = Subject("vectors", "passages")
NODE = ComponentNode("vectors", Kind.VECTOR_STORE, "pgvector", {}, collections=("passages",))
TOPOLOGY = Topology({"vectors": NODE})
CLUSTERS = ("1", "2", "3", "4", "new")
K = 10


@dataclass
class Watched:
    """A detector, and a store whose searches are as they are told to be."""

    detector: RetrievalDetector
    now: float = 1000.0

    def search(self, count: int = 1, *, cluster: str = "", **seen: object) -> list[Finding]:
        """So many searches of a cluster, or of each in turn; what changed meanwhile."""
        changes: list[Finding] = []
        told: dict[str, object] = {"k": K, "exact": K, "returned": K, "agreed": K, "index": "hnsw"}
        for number in range(count):
            self.now += 0.1
            where = cluster or CLUSTERS[number % len(CLUSTERS)]
            search = Retrieval(
                PASSAGES, self.now, cluster=where, **(told | {"query": f"like {where}"} | seen)
            )
            self.detector.observe([search])
            changes += self.detector.evaluate(self.now)
        return changes

    def found(self) -> dict[Symptom, Finding]:
        return {finding.symptom: finding for finding in self.detector.open_findings()}


@pytest.fixture
def watched() -> Watched:
    detector = RetrievalDetector(
        lambda: TOPOLOGY, recall=0.9, per_second=10.0, alarms=1.0, period=604800.0
    )
    return Watched(detector)


def wrong_everywhere(store: Watched) -> None:
    store.search(300, agreed=3)


def wrong_in_one_slice(store: Watched) -> None:
    for _ in range(60):
        for cluster in CLUSTERS:
            store.search(cluster=cluster, agreed=5 if cluster == "new" else 10)


def rows_missing(store: Watched) -> None:
    store.search(40, returned=2, agreed=2)


def all_golden_fail(store: Watched) -> None:
    for _ in range(15):
        for question in range(6):
            store.search(golden=False, query=f"what is {question}?")


def some_golden_fail(store: Watched) -> None:
    for _ in range(15):
        for question in range(6):
            lost = question == 4
            store.search(golden=not lost, gone="17" if lost else "", query=f"what is {question}?")


def unusable(store: Watched) -> None:
    store.search(5, index=f"by_meaning {INVALID}")


@pytest.mark.parametrize(
    ("happens", "symptom", "fault", "words"),
    [
        (wrong_everywhere, Symptom.RECALL_LOW, "index-degraded", "5 of 5 clusters"),
        (wrong_in_one_slice, Symptom.SLICE_LOW, "stale-centroids", "'like new' find 50%"),
        (rows_missing, Symptom.ROWS_MISSING, "tombstones", "2 of 10"),
        (all_golden_fail, Symptom.GOLDEN_FAILING, "embedding-mismatch", "6 of 6 golden"),
        (
            some_golden_fail,
            Symptom.GOLDEN_LOST,
            "documents-missing",
            "'what is 4?'; not there any more: 17",
        ),
        (unusable, Symptom.INDEX_INVALID, "index-invalid", "by_meaning (invalid)"),
    ],
)
def test_the_matrix(
    watched: Watched, happens: object, symptom: Symptom, fault: str, words: str
) -> None:
    watched.search(100)
    assert watched.found() == {}
    happens(watched)  # type: ignore[operator]
    assert set(watched.found()) == {symptom}
    finding = watched.found()[symptom]
    assert words in finding.sentence
    suggested = cause(watched.detector.open_findings(), PASSAGES)
    assert suggested is not None
    assert suggested.fault == fault
    assert suggested.confidence >= 0.7


def test_what_is_well_again_closes_its_finding(watched: Watched) -> None:
    wrong_everywhere(watched)
    changes = watched.search(200)
    assert watched.found() == {}
    assert changes[-1].closed_at is not None
    wrong_everywhere(watched)
    assert Symptom.RECALL_LOW in watched.found(), "and it is found when it comes back"


def test_a_store_that_is_down_is_silent_and_not_sick(watched: Watched) -> None:
    watched.search(100)
    watched.search(50, failure=Failure.TIMEOUT, exact=0, returned=0, agreed=0)
    assert set(watched.found()) == {Symptom.SILENT}
    assert cause(watched.detector.open_findings(), PASSAGES) is None
    watched.search(1)
    assert watched.found() == {}


def test_an_empty_collection_is_well(watched: Watched) -> None:
    watched.search(200, exact=0, returned=0, agreed=0)
    assert watched.found() == {}


def test_fewer_rows_than_k_are_all_that_there_are(watched: Watched) -> None:
    watched.search(200, exact=3, returned=3, agreed=3)
    assert watched.found() == {}


def test_where_there_is_doubt_it_is_looked_at_closely(watched: Watched) -> None:
    watched.search(100)
    assert watched.detector.suspects() == frozenset()
    assert watched.detector.focus(PASSAGES) is None
    watched.search(8, cluster="3", agreed=4)
    assert watched.detector.suspects() == {PASSAGES}
    assert watched.detector.focus(PASSAGES) == "3"


def test_what_is_forgotten_counts_no_more(watched: Watched) -> None:
    wrong_everywhere(watched)
    watched.detector.forget(PASSAGES, 99999.0)
    (closed,) = watched.detector.evaluate(watched.now)
    assert closed.closed_at == watched.now
    watched.search(100)
    assert watched.found() == {}


def test_who_is_not_watched_is_ignored(watched: Watched) -> None:
    stranger = Retrieval(Subject("vectors", "other"), 1.0, k=K, exact=K, returned=0, agreed=0)
    for _ in range(50):
        watched.detector.observe([stranger])
    assert watched.detector.evaluate(2.0) == []
