from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import drift, drift_peers, texts
from benchmarks.report import Options
from benchmarks.texts import Texts
from vagus.errors import VagusError


def some_texts() -> Texts:
    """Thirty intents of a hundred each, and two hundred queries that belong to none."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(30, 8))
    about = np.concatenate([np.repeat(centres, 100, axis=0), 3.0 * random.normal(size=(200, 8))])
    vectors = about + 0.3 * random.normal(size=about.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    intents = np.array([f"intent {i}" for i in range(30) for _ in range(100)] + ["oos"] * 200)
    return Texts("some", intents.tolist(), vectors.astype(np.float32), intents, intents == "oos")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "REFERENCE", 400)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["out of scope", "one new intent", "fifteen new intents"])
def test_a_stream_is_quiet_and_then_holds_a_share_of_others(kind: str) -> None:
    of = some_texts()
    one = drift.case(of, kind, 0.3, 200, 500, seed=3)
    assert not one.drifted[:200].any()
    assert 0.2 < one.drifted[200:].mean() < 0.4
    known = {row.tobytes() for row in one.reference}
    old = {row.tobytes() for row in one.stream[~one.drifted]}
    new = {row.tobytes() for row in one.stream[one.drifted]}
    assert not known & (old | new)
    assert not old & new
    again = drift.case(of, kind, 0.3, 200, 500, seed=3)
    assert np.array_equal(one.stream, again.stream)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", list(drift_peers.TESTS))
def test_peers_see_a_gross_change_and_nothing_where_there_is_none(name: str) -> None:
    of, test = some_texts(), drift_peers.TESTS[name]
    changed = drift.case(of, "one new intent", 0.9, 100, 500, seed=3)
    found = drift_peers.tested(test, changed.reference, changed.stream, 10_000.0, 0, 100)
    assert found is not None
    quiet = drift.case(of, "none", 0.0, 600, 0, seed=4)
    assert drift_peers.tested(test, quiet.reference, quiet.stream, 10_000.0, 0, 100) is None


def test_data_that_are_not_there_are_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(VagusError, match="--data"):
        drift.run(Options())
    with pytest.raises(VagusError, match=str(tmp_path)):
        drift.run(Options(data=tmp_path))
    (tmp_path / "clinc150.json").write_text(json.dumps({"train": []}))
    with pytest.raises(VagusError, match="no queries could be read"):
        drift.run(Options(data=tmp_path))


def test_texts_are_embedded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    class Embedder:
        def __init__(self, tokenizer: Path) -> None: ...

        def embed(self, some: list[str]) -> tuple[np.ndarray, int]:
            calls.append(len(some))
            return np.full((len(some), 3), float(len(some[0])), np.float32), 0

    monkeypatch.setattr(texts, "CACHE", tmp_path)
    monkeypatch.setattr(texts.minilm, "Embedder", Embedder)
    monkeypatch.setattr(texts.minilm, "fetch_tokenizer", lambda cache: cache)
    first = texts.embedded(["ab"] * 600, "some", lambda line: None)
    again = texts.embedded(["ab"] * 600, "some", lambda line: None)
    assert calls == [500, 100]
    assert np.array_equal(first, again)
    texts.embedded(["abc"], "some", lambda line: None)
    assert calls == [500, 100, 1]
