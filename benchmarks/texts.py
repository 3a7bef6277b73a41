"""Queries of people, by intent, as embeddings: CLINC150 and BANKING77 in the folder ``--data``.

The public originals: ``clinc/oos-eval`` (CC BY 3.0) and ``PolyAI-LDN/task-specific-datasets`` (CC
BY 4.0) on GitHub. They are looked for as ``text/clinc150.json`` and ``text/banking77-*.csv``. The
embedder is the lab's (all-MiniLM-L6-v2, int8, offline); embedding takes minutes, so vectors are
kept in the benchmarks' cache under a digest of the texts and the model.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray

from vagus.errors import VagusError
from vagus.lab import minilm

CACHE = Path(platformdirs.user_cache_dir("vagus")) / "benchmarks"
BLOCK = 500
"""Texts between two words of progress."""


@dataclass(frozen=True)
class Texts:
    """One data set; ``outside`` are queries that belong to no intent."""

    name: str
    texts: Sequence[str]
    vectors: NDArray[np.float32]
    intents: NDArray[np.str_]
    outside: NDArray[np.bool_]


def load(data: Path | None, say: Callable[[str], None]) -> list[Texts]:
    """Raises VagusError if the folder is not there or not what it should be."""
    if data is None:
        raise VagusError("the queries are not part of this repository", mend="name them by --data")
    folder = data / "text" if (data / "text").is_dir() else data
    try:
        return [
            _texts("CLINC150", _clinc(folder), say),
            _texts("BANKING77", _banking(folder), say),
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VagusError(f"no queries could be read: {error}", where=str(folder)) from error


Labelled = list[tuple[str, str]]


def _clinc(folder: Path) -> Labelled:
    splits = json.loads((folder / "clinc150.json").read_text(encoding="utf-8"))
    order = ("train", "val", "test", "oos_train", "oos_val", "oos_test")
    return [(text, intent) for split in order for text, intent in splits[split]]


def _banking(folder: Path) -> Labelled:
    rows: Labelled = []
    for part in ("train", "test"):
        with (folder / f"banking77-{part}.csv").open(encoding="utf-8", newline="") as file:
            rows += [(row["text"], row["category"]) for row in csv.DictReader(file)]
    return rows


def _texts(name: str, labelled: Labelled, say: Callable[[str], None]) -> Texts:
    texts = [text for text, _ in labelled]
    intents = np.array([intent for _, intent in labelled])
    return Texts(name, texts, embedded(texts, name, say), intents, intents == "oos")


def embedded(texts: Sequence[str], name: str, say: Callable[[str], None]) -> NDArray[np.float32]:
    """One row a text, from the cache if these texts were embedded before."""
    digest = hashlib.sha256("\0".join([minilm.MODEL, *texts]).encode()).hexdigest()[:16]
    kept = CACHE / f"embeddings-{digest}.npy"
    if kept.is_file():
        cached: NDArray[np.float32] = np.load(kept, allow_pickle=False)
        return cached
    CACHE.mkdir(parents=True, exist_ok=True)
    embedder = minilm.Embedder(minilm.fetch_tokenizer(CACHE))
    blocks = []
    for start in range(0, len(texts), BLOCK):
        say(f"{name}: embedding {start:,} of {len(texts):,}, once")
        blocks.append(embedder.embed(texts[start : start + BLOCK])[0])
    vectors = np.concatenate(blocks)
    fresh = kept.with_suffix(".new.npy")
    np.save(fresh, vectors)
    fresh.replace(kept)
    return vectors
