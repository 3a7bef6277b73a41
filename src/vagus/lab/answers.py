"""What a good answer is, and in which ways an answer is bad.

A load generator that counts status codes finds nothing wrong with a login page. An answer is good
only if it is one from its first byte to its last: status, content type, every event readable, some
text, and the end that its protocol promises.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from enum import StrEnum
from typing import Protocol

import aiohttp
from pydantic import BaseModel, ValidationError

from vagus.lab import sse


class Failure(StrEnum):
    """Why an answer is bad."""

    UNREACHABLE = "unreachable"
    """No connection, or it broke before there was a status."""
    STATUS = "status"
    """The server said itself that it failed."""
    SHAPE = "shape"
    """Status 200, but not the kind of answer that was asked for."""
    CUT = "cut"
    """It began well, and broke."""
    TIMEOUT = "timeout"
    """The caller gave up."""
    OVERLOAD = "overload"
    """Not sent: too many requests were waiting for their answers already."""


class BadAnswer(Exception):
    """An answer that doesn't count; ``str()`` gives the details."""

    def __init__(self, failure: Failure, detail: str) -> None:
        super().__init__(detail)
        self.failure = failure


class Target(Protocol):
    """Something to ask, and how its answers read."""

    path: str

    def body(self, question: str) -> Mapping[str, object]: ...

    def texts(self, events: AsyncIterator[sse.Event]) -> AsyncIterator[str]:
        """The pieces of the answer.

        Reads to the end of the body: who closes a connection before it is an impatient caller to
        the gateway, and would be logged as one.
        """
        ...


class _Piece(BaseModel):
    text: str


class _Source(BaseModel):
    id: int


class _Done(BaseModel):
    sources: list[_Source]


class Ask:
    """The whole pipeline: ``POST /ask``."""

    path = "/ask"

    def body(self, question: str) -> Mapping[str, object]:
        return {"question": question}

    async def texts(self, events: AsyncIterator[sse.Event]) -> AsyncIterator[str]:
        ended = False
        async for event in events:
            _not_after(ended)
            if event.name == "error":
                raise BadAnswer(Failure.CUT, event.data)
            if event.name == "done":
                ended = True
                if not _Done.model_validate_json(event.data).sources:
                    raise BadAnswer(Failure.SHAPE, "an answer without sources")
            else:
                yield _Piece.model_validate_json(event.data).text
        if not ended:
            raise BadAnswer(Failure.CUT, "no last event")


class _Delta(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    delta: _Delta


class _Chunk(BaseModel):
    choices: list[_Choice]


class Chat:
    """The model alone: OpenAI's ``POST /v1/chat/completions``, streamed."""

    path = "/v1/chat/completions"

    def __init__(self, max_tokens: int = 24) -> None:
        self._max_tokens = max_tokens

    def body(self, question: str) -> Mapping[str, object]:
        messages = [{"role": "user", "content": question}]
        return {"messages": messages, "max_tokens": self._max_tokens, "stream": True}

    async def texts(self, events: AsyncIterator[sse.Event]) -> AsyncIterator[str]:
        ended = False
        async for event in events:
            _not_after(ended)
            if event.data == "[DONE]":
                ended = True
                continue
            for choice in _Chunk.model_validate_json(event.data).choices:
                if choice.delta.content:
                    yield choice.delta.content
        if not ended:
            raise BadAnswer(Failure.CUT, "no [DONE]")


def _not_after(ended: bool) -> None:
    if ended:
        raise BadAnswer(Failure.SHAPE, "more after the end")


async def read(response: aiohttp.ClientResponse, target: Target) -> AsyncGenerator[str, None]:
    """The texts of a good answer, as they come.

    Raises :class:`BadAnswer` as soon as it turns out not to be one.
    """
    if response.status != 200:
        raise BadAnswer(Failure.STATUS, f"HTTP {response.status}")
    if response.content_type != sse.CONTENT_TYPE:
        raise BadAnswer(Failure.SHAPE, f"content type {response.content_type}")
    some = False
    try:
        async for text in target.texts(sse.events(response.content.iter_any())):
            some = some or bool(text)
            yield text
    except (sse.BadStream, ValidationError) as error:
        raise BadAnswer(Failure.SHAPE, str(error).partition("\n")[0]) from error
    except aiohttp.ClientError as error:
        raise BadAnswer(Failure.CUT, str(error) or type(error).__name__) from error
    if not some:
        raise BadAnswer(Failure.SHAPE, "an empty answer")
