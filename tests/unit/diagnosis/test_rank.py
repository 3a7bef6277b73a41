"""Findings get the name of the fault that explains most of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vagus.diagnosis.faults import FAULTS
from vagus.diagnosis.rank import cause
from vagus.model import Finding, Sense, Subject, Symptom

TWO = Subject("chat", "chat-2")
RAG = Subject("rag", "rag-1")
T = 1_700_000_000.0


def finding(
    symptom: Symptom, sense: Sense = Sense.GATEWAY, subject: Subject = TWO, samples: int = 4
) -> Finding:
    sentence = f"{subject.replica} is {symptom} says {sense}"
    return Finding(subject, symptom, sense, T, T, sentence, samples=samples)


@pytest.mark.parametrize(
    ("symptom", "fault"),
    [
        (Symptom.GONE, "replica-gone"),
        (Symptom.HUNG, "replica-hung"),
        (Symptom.ERRORING, "replica-erroring"),
        (Symptom.CUTTING, "replica-cutting-streams"),
        (Symptom.SLOW, "replica-slow"),
        (Symptom.WRONG_SHAPE, "replica-wrong-shape"),
        (Symptom.NONSENSE, "replica-nonsense"),
    ],
)
def test_each_symptom_alone_names_its_fault(symptom: Symptom, fault: str) -> None:
    found = cause([finding(symptom)])
    assert found is not None
    assert (found.fault, found.subject) == (fault, TWO)
    assert finding(symptom).sentence in found.sentence
    assert 0.5 < found.confidence < 0.9


def test_missing_metrics_are_no_fault() -> None:
    assert cause([finding(Symptom.SILENT, Sense.SCRAPE)]) is None
    assert cause([]) is None


@pytest.mark.parametrize(
    ("symptoms", "fault"),
    [
        ((Symptom.CUTTING, Symptom.ERRORING, Symptom.GONE, Symptom.SILENT), "replica-gone"),
        ((Symptom.SLOW, Symptom.HUNG), "replica-hung"),
        ((Symptom.SLOW, Symptom.CUTTING), "replica-cutting-streams"),
        ((Symptom.SILENT, Symptom.SLOW), "replica-slow"),
        ((Symptom.ERRORING, Symptom.WRONG_SHAPE), "replica-wrong-shape"),
    ],
)
def test_what_explains_more_comes_first(symptoms: tuple[Symptom, ...], fault: str) -> None:
    found = cause([finding(symptom) for symptom in symptoms])
    assert found is not None
    assert found.fault == fault


def test_independent_senses_and_samples_raise_confidence() -> None:
    def confidence(*findings: Finding) -> float:
        found = cause(findings)
        assert found is not None
        return found.confidence

    gateway, probe = finding(Symptom.ERRORING), finding(Symptom.ERRORING, Sense.PROBE)
    alone = confidence(gateway)
    assert confidence(finding(Symptom.ERRORING, samples=40)) > alone
    assert confidence(gateway, gateway) == alone
    assert confidence(gateway, probe) > alone
    third = finding(Symptom.SILENT, Sense.SCRAPE)
    assert confidence(gateway, probe, third) == confidence(gateway, probe)
    assert confidence(gateway, finding(Symptom.NONSENSE, Sense.PROBE)) == alone


def test_open_findings_count_before_closed_ones() -> None:
    gone = replace(finding(Symptom.GONE), closed_at=T + 5)
    slow = finding(Symptom.SLOW)
    found = cause([gone, slow])
    assert found is not None
    assert found.fault == "replica-slow"
    found = cause([gone])
    assert found is not None
    assert found.fault == "replica-gone"


def test_only_findings_of_the_subject_name_its_fault() -> None:
    callers = finding(Symptom.ERRORING, subject=RAG)
    found = cause([callers, finding(Symptom.CUTTING)], TWO)
    assert found is not None
    assert found.fault == "replica-cutting-streams"
    assert cause([callers], TWO) is None


def test_the_catalogue_is_whole() -> None:
    shown = {f.shown_by for f in FAULTS.values() if f.shown_by is not None}
    assert shown == set(Symptom) - {Symptom.SILENT}
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.sentence.format(subject="S", evidence="E").count("E") >= 1
        assert all(0 < weight < 1 for weight in fault.also.values())
