"""The lab's corpus is a function of its numbers, and good enough to retrieve from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vagus.errors import LabError
from vagus.lab import corpus
from vagus.lab.minilm import DIMENSION, Vectors, normalised
from vagus.lab.progress import silent
from vagus.lab.questions import questions
from vagus.lab.settings import LabSettings


class CountingModel:
    """Vectors that depend on the text alone; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def embed(self, texts: list[str]) -> tuple[Vectors, int]:
        self.asked += len(texts)
        rows = [np.random.default_rng(list(text.encode())).standard_normal(384) for text in texts]
        return normalised(np.array(rows, dtype=np.float32)), len(texts)


@pytest.fixture
def settings(tmp_path: Path) -> LabSettings:
    return LabSettings(run_dir=tmp_path / "run", cache_dir=tmp_path / "cache", passages=90)


def test_passages_are_deterministic_and_change_with_the_seed() -> None:
    assert corpus.passages(300, 1) == corpus.passages(300, 1)
    assert corpus.passages(300, 1) != corpus.passages(300, 2)


def test_passages_are_short_distinct_prose_from_many_topics() -> None:
    texts = corpus.passages(300, 1)
    assert len({passage.text for passage in texts}) == 300
    assert len({passage.topic for passage in texts}) > 70
    assert all(40 <= len(passage.text) <= corpus.PASSAGE_CHARACTERS for passage in texts)
    assert not any("::=" in passage.text or "\n" in passage.text for passage in texts)


def test_more_passages_than_there_are_is_an_error_with_the_number() -> None:
    with pytest.raises(LabError, match=r"use at most \d+"):
        corpus.passages(100_000, 1)


def test_embedding_happens_once(settings: LabSettings) -> None:
    model = CountingModel()
    first = corpus.embed(settings, lambda: model, silent)
    again = corpus.embed(settings, lambda: model, silent)
    assert model.asked == 90
    assert first.fingerprint == again.fingerprint == corpus.cached(settings).fingerprint


def test_a_torn_cache_is_made_anew(settings: LabSettings) -> None:
    model = CountingModel()
    corpus.embed(settings, lambda: model, silent)
    (file,) = settings.cache_dir.glob("corpus-*.npz")
    file.write_bytes(file.read_bytes()[:1000])
    corpus.embed(settings, lambda: model, silent)
    assert model.asked == 180


def test_a_corpus_that_was_never_embedded_names_the_mend(settings: LabSettings) -> None:
    with pytest.raises(LabError, match="vagus lab setup"):
        corpus.cached(settings)


def test_perturbations_surround_their_passage_and_keep_away_from_others(
    settings: LabSettings,
) -> None:
    base = corpus.embed(settings, CountingModel, silent)
    vectors, origins = corpus.perturbations(base, 900, seed=7)
    again, _ = corpus.perturbations(base, 900, seed=7)
    np.testing.assert_array_equal(vectors, again)
    assert vectors.shape == (900, DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    likeness = vectors @ base.vectors.T
    assert (likeness.argmax(axis=1) == origins).all()
    own = likeness[np.arange(900), origins]
    assert own.mean() == pytest.approx(0.71, abs=0.02)


def test_questions_are_seeded_and_each_has_a_topic_with_passages(settings: LabSettings) -> None:
    asked = questions(settings)
    assert asked == questions(settings)
    assert len(asked) > 300
    assert len({question.text for question in asked}) == len(asked)
    topics = {passage.topic for passage in corpus.passages(90, settings.seed)}
    assert {question.topic for question in asked} <= topics
    assert all(question.text.endswith("?") for question in asked)
