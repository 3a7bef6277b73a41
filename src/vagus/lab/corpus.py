"""What the lab's pipeline knows: the topics of Python's own ``help()``.

The text is in every Python's standard library, so nothing has to be downloaded and everybody can
judge an answer. Topics are cut into passages of a few sentences, and each passage begins with its
topic's title, because a paragraph that says "it" is found by nobody. Embedding is the slow part
(some 20 ms a passage), hence a few hundred passages and a cache.

A few hundred rows are no vector store: Postgres would rather sort them than use an index, and a
broken index would hurt nobody. So every passage is surrounded by *perturbations*: its vector, moved
along the difference of two other passages. White noise would not do. Around each passage it makes
an island in 384 dimensions that no graph index can leave (recall .8 where nothing is wrong), while
differences of passages point where passages are (recall .98, and what is asked is still found).

Everything here is a function of the topics, the settings' numbers and the seed.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import random
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vagus.errors import LabError
from vagus.lab.minilm import DIMENSION, MODEL, Embeds, Vectors, normalised
from vagus.lab.progress import Progress
from vagus.lab.settings import LabSettings
from vagus.lab.wheels import replacing

PASSAGE_CHARACTERS = 360
"""About 80 tokens: three of them, a question and an instruction are a prompt of 250."""

SHIFT = 0.7
"""How far a perturbation is moved: to a cosine of about .7 to its passage."""

_SHORTEST_PASSAGE = 80
_PARAGRAPH_END = re.compile(r"\n{2,}")
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+(?=[\"A-Z(])")
_BULLET = re.compile(r"^(\*|\d+\.)\s+")
_EDITORIAL = re.compile(r"^((New|Added|Changed|Deprecated|Removed) in version|See |\(See |Note:$)")


@dataclass(frozen=True)
class Passage:
    """A few sentences of one topic; ``topic`` is the name that ``help()`` knows."""

    topic: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """Passages with their vectors, one row each; the id of a passage is its index."""

    passages: tuple[Passage, ...]
    vectors: Vectors

    @property
    def fingerprint(self) -> str:
        """Changes when any passage, any vector or the model does."""
        digest = hashlib.sha256(_key(self.passages).encode())
        digest.update(self.vectors.tobytes())
        return digest.hexdigest()[:16]


def topics() -> dict[str, str]:
    """Python's help topics: name and text, title first."""
    texts: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    return texts


def title(text: str) -> str:
    """The heading of a topic, as it is to be read: ``The assert statement``."""
    return text.split("\n", 1)[0].replace('"', "").strip()


def passages(count: int, seed: int) -> tuple[Passage, ...]:
    """``count`` passages, taken from all topics in turn so that none drowns the others."""
    chosen = random.Random(seed)
    decks: list[list[Passage]] = []
    seen: set[str] = set()
    # Long topics repeat what shorter ones say; the more specific topic keeps the sentence.
    for topic, text in sorted(topics().items(), key=lambda entry: (len(entry[1]), entry[0])):
        deck = list(_packed(topic, title(text), _sentences(text, seen)))
        # The first passage says what the topic is; which of the others come in is chance.
        rest = deck[1:]
        chosen.shuffle(rest)
        decks.append(deck[:1] + rest)
    in_turn = [deck[n] for n in range(max(map(len, decks))) for deck in decks if n < len(deck)]
    if len(in_turn) < count:
        raise LabError(
            f"{count} passages were asked for, but Python's help topics have {len(in_turn)}",
            mend=f"use at most {len(in_turn)}",
        )
    return tuple(in_turn[:count])


def _sentences(text: str, seen: set[str]) -> Iterator[str]:
    """A topic's sentences that are not in ``seen`` yet; grammar, code and tables are no prose."""
    for paragraph in _PARAGRAPH_END.split(text)[1:]:
        if paragraph.startswith((" ", "|", "+", "=")) or "::=" in paragraph:
            continue
        if not paragraph.rstrip().endswith((".", ":", "!", "?", ".)", '."')):
            continue
        prose = _BULLET.sub("", " ".join(paragraph.split()))
        for sentence in _SENTENCE_END.split(prose):
            if sentence not in seen and not _EDITORIAL.match(sentence):
                seen.add(sentence)
                yield sentence


def _packed(topic: str, heading: str, sentences: Iterator[str]) -> Iterator[Passage]:
    """Fill passages with whole sentences; only one that is too long by itself is cut."""
    room = PASSAGE_CHARACTERS - len(heading) - len(". ")
    text = ""
    for sentence in sentences:
        if text and len(text) + 1 + len(sentence) > room:
            yield Passage(topic, f"{heading}. {text}")
            text = ""
        text = f"{text} {sentence}".strip()[:room]
    if len(text) >= _SHORTEST_PASSAGE:
        yield Passage(topic, f"{heading}. {text}")


def embed(settings: LabSettings, load: Callable[[], Embeds], progress: Progress) -> Corpus:
    """The corpus of these settings, embedded now or in an earlier call.

    ``load`` brings the model, which takes a second, and is not called if there is nothing to do.
    """
    texts = passages(settings.passages, settings.seed)
    file = cache_file(settings, texts)
    if (known := _read(file, texts)) is not None:
        progress("corpus", 1.0, f"{len(texts)} passages, cached")
        return known
    model, rows = load(), []
    for done, passage in enumerate(texts):
        progress("corpus", done / len(texts), f"embedding passage {done + 1} of {len(texts)}")
        rows.append(model.embed([passage.text])[0])
    corpus = Corpus(texts, np.concatenate(rows))
    with replacing(file) as fresh, fresh.open("wb") as out:
        np.savez(out, vectors=corpus.vectors)
    progress("corpus", 1.0, f"{len(texts)} passages")
    return corpus


def cached(settings: LabSettings) -> Corpus:
    """The corpus that :func:`embed` left in the cache; no model is needed for it."""
    texts = passages(settings.passages, settings.seed)
    file = cache_file(settings, texts)
    if (corpus := _read(file, texts)) is None:
        raise LabError("the corpus is not embedded", where=str(file), mend="vagus lab setup")
    return corpus


def cache_file(settings: LabSettings, texts: Sequence[Passage]) -> Path:
    """Named by content: another Python has other topics, and therefore another file."""
    return (
        settings.cache_dir / f"corpus-{hashlib.sha256(_key(texts).encode()).hexdigest()[:12]}.npz"
    )


def perturbations(corpus: Corpus, count: int, seed: int) -> tuple[Vectors, list[int]]:
    """``count`` moved copies: vectors of length one, and the index of the passage of each."""
    chance = np.random.default_rng(seed)
    known = len(corpus.passages)
    origins = np.arange(count) % known
    # Two others, neither the passage itself nor the same one twice.
    first = chance.integers(1, known, size=count)
    second = (first - 1 + chance.integers(1, known - 1, size=count)) % (known - 1) + 1
    towards, away = corpus.vectors[(origins + np.array((first, second))) % known]
    return normalised(corpus.vectors[origins] + SHIFT * (towards - away)), origins.tolist()


def _key(texts: Sequence[Passage]) -> str:
    return json.dumps([MODEL, *(passage.text for passage in texts)])


def _read(file: Path, texts: tuple[Passage, ...]) -> Corpus | None:
    """What the cache holds; a file that can't be read is as good as none."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            vectors = stored["vectors"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return Corpus(texts, vectors) if vectors.shape == (len(texts), DIMENSION) else None
