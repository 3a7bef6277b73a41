"""Retrieval-augmented generation, in the order in which it happens.

A question becomes a vector (embed), the vector finds passages (vectors), passages and question
become a prompt, and the prompt is answered token by token (chat). Each step may fail, and each
failure says which upstream it was: an answer made up around a hole would be worse than none.

Prompts and answers are short. This pipeline is for being broken and healed, on two cores.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from vagus.lab import sse
from vagus.lab.minilm import DIMENSION, MODEL
from vagus.lab.retrieval import Hit, PassageStore, RetrievalFailed

TOP_K = 3
CONTEXT_CHARACTERS = 240
"""Of all passages together, about 65 tokens: on two cores, reading a prompt is what costs."""
ANSWER_TOKENS = 16

_INSTRUCTION = "Answer the question about Python in one short sentence. Use these notes."
_EMBED_TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=2)
_CHAT_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=2, sock_read=15)


class UpstreamFailed(Exception):
    """A step got no usable answer from ``upstream``."""

    def __init__(self, upstream: str, reason: str) -> None:
        super().__init__(f"{upstream}: {reason}")
        self.upstream = upstream
        self.reason = reason


@dataclass(frozen=True)
class Delta:
    """A piece of the answer, or with an empty text its end and why it ended."""

    text: str
    finish_reason: str | None = None


class _Embedding(BaseModel):
    embedding: list[FiniteFloat] = Field(min_length=DIMENSION, max_length=DIMENSION)


class _Embeddings(BaseModel):
    data: list[_Embedding] = Field(min_length=1)


class _Content(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    delta: _Content
    finish_reason: str | None = None


class _Chunk(BaseModel):
    choices: list[_Choice]


class Pipeline:
    """The three steps, each through ``gateway`` (a base URL) or ``store``."""

    def __init__(self, gateway: str, store: PassageStore, session: aiohttp.ClientSession) -> None:
        self._gateway = gateway
        self._store = store
        self._session = session

    async def embed(self, question: str, headers: Mapping[str, str]) -> list[float]:
        """The question's vector."""
        asked = {"model": MODEL, "input": question}
        async with self._post("embed", "/v1/embeddings", asked, headers, _EMBED_TIMEOUT) as answer:
            _check(answer, "embed", "application/json")
            return _Embeddings.model_validate_json(await answer.read()).data[0].embedding

    async def retrieve(self, vector: Sequence[float]) -> list[Hit]:
        """The nearest passages; at least one."""
        try:
            hits = await self._store.nearest(vector, TOP_K)
        except RetrievalFailed as error:
            raise UpstreamFailed("vectors", str(error)) from error
        if not hits:
            raise UpstreamFailed("vectors", "it has no passages")
        return hits

    async def answer(
        self, question: str, hits: Sequence[Hit], headers: Mapping[str, str]
    ) -> AsyncGenerator[Delta, None]:
        """The answer, piece by piece; the last piece tells why it ended."""
        asked = {
            "messages": prompt(question, hits),
            "max_tokens": ANSWER_TOKENS,
            "temperature": 0,
            "stream": True,
        }
        async with self._post(
            "chat", "/v1/chat/completions", asked, headers, _CHAT_TIMEOUT
        ) as answer:
            _check(answer, "chat", sse.CONTENT_TYPE)
            finish_reason, ended = "stop", False
            # To the end of the body: closing early would look like a caller who gave up.
            async for event in sse.events(answer.content.iter_any()):
                if event.data == "[DONE]":
                    ended = True
                    continue
                for choice in _Chunk.model_validate_json(event.data).choices:
                    finish_reason = choice.finish_reason or finish_reason
                    if choice.delta.content:
                        yield Delta(choice.delta.content)
            if not ended:
                raise UpstreamFailed("chat", "the answer has no end")
            yield Delta("", finish_reason)

    @asynccontextmanager
    async def _post(
        self,
        upstream: str,
        path: str,
        body: Mapping[str, object],
        headers: Mapping[str, str],
        timeout: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, and blame ``upstream`` for whatever goes wrong until its answer is used up."""
        try:
            async with self._session.post(
                self._gateway + path, json=body, headers=headers, timeout=timeout
            ) as response:
                yield response
        except TimeoutError as error:
            raise UpstreamFailed(upstream, "no answer in time") from error
        except ValidationError as error:
            raise UpstreamFailed(upstream, "an answer of another shape") from error
        except (aiohttp.ClientError, sse.BadStream) as error:
            raise UpstreamFailed(upstream, str(error) or type(error).__name__) from error


def prompt(question: str, hits: Sequence[Hit]) -> list[dict[str, str]]:
    """The messages for the model: an instruction, the passages (each text once), the question."""
    notes, room = list[str](), CONTEXT_CHARACTERS
    for passage in dict.fromkeys(hit.passage for hit in hits):
        notes.append(f"- {passage[:room]}")
        room -= len(passage)
        if room <= 0:
            break
    asked = "\n".join((*notes, "", question))
    return [{"role": "system", "content": _INSTRUCTION}, {"role": "user", "content": asked}]


def _check(response: aiohttp.ClientResponse, upstream: str, content_type: str) -> None:
    if response.status != 200:
        raise UpstreamFailed(upstream, f"status {response.status}")
    if response.content_type != content_type:
        raise UpstreamFailed(upstream, f"{response.content_type} instead of {content_type}")
