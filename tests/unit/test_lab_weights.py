"""Model versions are made by requantising: on a GGUF of a few kilobytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vagus.errors import LabError
from vagus.lab import weights
from vagus.lab.progress import silent
from vagus.lab.settings import LabSettings

gguf = pytest.importorskip("gguf")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabSettings:
    """Settings with an empty cache, and a tiny model where the download would be."""
    original = tmp_path / "original.gguf"
    rng = np.random.default_rng(7)
    writer = gguf.GGUFWriter(original, "llama")
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_1)
    writer.add_token_list(["a", "b", "ü"])
    writer.add_token_types([1, 1, 3])
    kind = gguf.GGMLQuantizationType.Q4_1
    matrix = rng.normal(size=(8, 64)).astype(np.float32)
    for name in ("blk.0.ffn_up.weight", "blk.0.ffn_down.weight"):
        writer.add_tensor(name, gguf.quants.quantize(matrix, kind), raw_dtype=kind)
    writer.add_tensor("output_norm.weight", rng.normal(size=64).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    monkeypatch.setattr(weights, "extract", lambda *_: original)
    return LabSettings(run_dir=tmp_path / "run", cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(("version", "kind"), [("v1", "Q4_0"), ("v2", "Q8_0")])
def test_matrices_are_requantised_and_all_else_is_kept(
    settings: LabSettings, version: str, kind: str
) -> None:
    made = gguf.GGUFReader(weights.make(settings, version, silent))
    matrix, _, norm = made.tensors
    before = gguf.GGUFReader(settings.run_dir.parent / "original.gguf")
    assert matrix.tensor_type.name == kind
    values = gguf.quants.dequantize(matrix.data, matrix.tensor_type)
    original = gguf.quants.dequantize(before.tensors[0].data, before.tensors[0].tensor_type)
    assert values.shape == original.shape
    assert np.abs(values - original).max() < 0.5
    assert np.array_equal(norm.data, before.tensors[2].data)
    for name in ("general.name", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"):
        assert made.fields[name].contents() == before.fields[name].contents()
    assert made.fields["general.version"].contents() == version
    assert gguf.LlamaFileType(made.fields["general.file_type"].contents()).name == f"MOSTLY_{kind}"


def test_the_damaged_version_has_its_rows_in_another_order(settings: LabSettings) -> None:
    def rows(version: str) -> tuple[np.ndarray, np.ndarray]:
        up, down, _ = gguf.GGUFReader(weights.make(settings, version, silent)).tensors
        return up.data, gguf.quants.dequantize(down.data, down.tensor_type)

    (up, good), (same_up, bad) = rows("v1"), rows("v2-damaged")
    assert np.array_equal(up, same_up)
    assert not np.array_equal(good, bad)
    assert np.array_equal(np.sort(good, axis=0), np.sort(bad, axis=0))


def test_versions_differ(settings: LabSettings) -> None:
    first, second = (weights.make(settings, version, silent) for version in ("v1", "v2"))
    assert first.read_bytes() != second.read_bytes()


def test_a_version_is_made_once(settings: LabSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    made = weights.prepare(settings, lambda step, done, note="": told.append(done))
    assert told[-1] == 1.0
    assert told == sorted(told)

    def never(*_: object) -> Path:
        raise AssertionError("fetched again")

    monkeypatch.setattr(weights, "extract", never)
    assert weights.prepare(settings, silent) == made


def test_what_breaks_off_leaves_no_model(settings: LabSettings) -> None:
    def full_disk(step: str, done: float, note: str = "") -> None:
        if done > 0.5:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        weights.prepare(settings, full_disk)
    with pytest.raises(LabError, match="vagus lab setup"):
        weights.model_file(settings)
    assert [p for p in settings.cache_dir.rglob("*") if p.is_file()] == []


def test_an_unknown_version_is_refused(settings: LabSettings) -> None:
    with pytest.raises(LabError, match="'v9'") as caught:
        weights.make(settings, "v9", silent)
    assert "v1, v2" in caught.value.mend


def test_the_users_own_model_is_taken_as_it_is(settings: LabSettings, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    with_own = LabSettings(run_dir=settings.run_dir, cache_dir=settings.cache_dir, model=own)
    with pytest.raises(LabError, match=r"own\.gguf"):
        weights.prepare(with_own, silent)
    own.write_bytes(b"GGUF")
    assert weights.prepare(with_own, silent) == own


@pytest.mark.parametrize(("share", "moved"), [(0.25, 2), (1.0, 8)])
def test_damage_moves_a_share_of_the_rows_and_nothing_else(
    settings: LabSettings, share: float, moved: int
) -> None:
    good = weights.make(settings, "v1", silent)
    bad = good.with_name("bad.gguf")
    weights.damage(good, bad, layers=1, share=share, seed=3)
    before, after = gguf.GGUFReader(good), gguf.GGUFReader(bad)
    assert good.stat().st_size == bad.stat().st_size
    for one, other in zip(before.tensors, after.tensors, strict=True):
        rows = (np.asarray(one.data) != np.asarray(other.data)).reshape(len(one.data), -1)
        expected = moved if one.name == "blk.0.ffn_down.weight" else 0
        assert rows.any(axis=1).sum() == expected
    assert sorted(np.asarray(before.tensors[1].data).tolist()) == sorted(
        np.asarray(after.tensors[1].data).tolist()
    )
