"""One sentence from an embedding server: as a probe of it, or to search with.

Of a probe the right answer isn't known, but siblings with the same model agree on it. What is kept
is one bit a dimension, its sign: a digest that stays nearly the same under the noise of another
CPU, GPU or batch, and of which half the bits differ for another model, even one of the same
dimension. (Signs as a locality-sensitive hash: Charikar, Similarity estimation techniques from
rounding algorithms, STOC 2002.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import aiohttp
import numpy as np

from vagus.adapters import http
from vagus.adapters.openai.exchange import Answer, Exchanges, Question, Wrong
from vagus.model import Failure, Probe, Subject, Vector

SENTENCE = "The quick brown fox jumps over the lazy dog."
LONGEST_ANSWER = 2**20  # bytes; 8,192 dimensions take 200 thousand
DIGEST_DIMENSIONS = 1024


class EmbeddingsProber:
    """Implements :class:`~vagus.ports.Prober` for ``/v1/embeddings``."""

    def __init__(self, exchanges: Exchanges, model: Callable[[Subject], str | None]) -> None:
        self._exchanges = exchanges
        self._model = model

    async def probe(self, subject: Subject) -> Probe:
        body: dict[str, object] = {"input": SENTENCE}
        model = self._model(subject)
        if model is not None:
            body["model"] = model
        question = Question("/v1/embeddings", body, content_type="application/json")
        return await self._exchanges.ask(subject, question, _read)


class TextEmbedder:
    """Implements :class:`~vagus.ports.Embedder` for ``/v1/embeddings``."""

    def __init__(
        self,
        exchanges: Exchanges,
        model: Callable[[Subject], str | None],
        replicas: Callable[[str], Sequence[Subject]],
    ) -> None:
        self._exchanges = exchanges
        self._model = model
        self._replicas = replicas

    async def embed(self, component: str, text: str) -> Vector | None:
        for subject in self._replicas(component):
            read: list[list[float]] = []

            async def reading(
                response: aiohttp.ClientResponse,
                answer: Answer,
                into: list[list[float]] = read,
            ) -> None:
                into.append(await _read_vector(response, answer))

            body: dict[str, object] = {"input": text}
            model = self._model(subject)
            if model is not None:
                body["model"] = model
            question = Question("/v1/embeddings", body, content_type="application/json")
            await self._exchanges.ask(subject, question, reading)
            if read:
                return np.array(read[0], dtype=np.float32)
        return None


async def _read(response: aiohttp.ClientResponse, answer: Answer) -> None:
    answer.text = digest(await _read_vector(response, answer))


async def _read_vector(response: aiohttp.ClientResponse, answer: Answer) -> list[float]:
    body = bytearray()
    async for chunk in http.chunks(response, LONGEST_ANSWER):
        answer.heard = True
        body += chunk
    return _vector(http.parse_json(bytes(body), response))


def digest(vector: list[float]) -> str:
    """Its dimension, and the signs of its components, four to a hexadecimal digit."""
    signs = "".join("1" if value > 0 else "0" for value in vector[:DIGEST_DIMENSIONS])
    return f"{len(vector)}:{int(signs, 2):0{math.ceil(len(signs) / 4)}x}"


def _vector(answer: object) -> list[float]:
    try:
        vector = answer["data"][0]["embedding"]  # type: ignore[index]
        if vector and all(type(v) in (int, float) and math.isfinite(v) for v in vector):
            return list(vector)
    except (KeyError, IndexError, TypeError, OverflowError):
        pass
    raise Wrong(Failure.UNPARSEABLE)
