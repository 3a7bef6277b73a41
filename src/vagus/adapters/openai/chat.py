"""ChatProber: a few tokens from a model server, streamed.

Greedy and seeded, so that siblings with the same weights give the same few words and one that talks
nonsense stands out. Streamed, because the first token and the pace after it fail apart. The prompt
is always the same, so an engine that caches prompts answers from its cache: the probe then costs
almost nothing, and what it measures is the replica rather than the prompt.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import aiohttp

from vagus.adapters import http
from vagus.adapters.openai.exchange import Answer, Exchanges, Question, Wrong
from vagus.model import Failure, Probe, Subject

PROMPT = "Name the days of the week."  # even a small model answers in words, and in the same ones
MAX_TOKENS = 6
SEED = 7
LONGEST_ANSWER = 64 * 1024  # bytes; six tokens take two thousand

_DONE = b"[DONE]"
_OTHER_FIELDS = (b"event:", b"id:", b"retry:", b":")


class ChatProber:
    """Implements :class:`~vagus.ports.Prober` for ``/v1/chat/completions``."""

    def __init__(self, exchanges: Exchanges, model: Callable[[Subject], str | None]) -> None:
        self._exchanges = exchanges
        self._model = model

    async def probe(self, subject: Subject) -> Probe:
        body: dict[str, object] = {
            "messages": [{"role": "user", "content": PROMPT}],
            "temperature": 0,
            "seed": SEED,
            "max_tokens": MAX_TOKENS,
            "stream": True,
        }
        model = self._model(subject)
        if model is not None:
            body["model"] = model
        question = Question("/v1/chat/completions", body, content_type="text/event-stream")
        return await self._exchanges.ask(subject, question, self._read)

    async def _read(self, response: aiohttp.ClientResponse, answer: Answer) -> None:
        finished = False
        async for data in _events(response, answer):
            if data == _DONE:
                finished = True
                break
            text, ends = _chunk(data)
            finished = finished or ends
            if text:
                now = self._exchanges.clock.monotonic()
                answer.first_token = now if answer.first_token is None else answer.first_token
                answer.last_token = now
                answer.tokens += 1
                answer.text += text
        if answer.heard and not finished:
            raise Wrong(Failure.TRUNCATED)
        if not answer.text:
            raise Wrong(Failure.UNPARSEABLE)


async def _events(response: aiohttp.ClientResponse, answer: Answer) -> AsyncIterator[bytes]:
    """The data of each event. Every line must be one of an event stream: garbage under the right
    content type is not skipped, as a browser would."""
    pending = b""
    async for chunk in http.chunks(response, LONGEST_ANSWER):
        answer.heard = True
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            line = line.rstrip(b"\r")
            if line.startswith(b"data:"):
                yield line.removeprefix(b"data:").strip()
            elif line and not line.startswith(_OTHER_FIELDS):
                raise Wrong(Failure.UNPARSEABLE)


def _chunk(data: bytes) -> tuple[str, bool]:
    """The text of one chunk, and whether the answer ends with it."""
    try:
        chunk = json.loads(data)
        if chunk.get("error"):
            raise Wrong(Failure.SERVER_ERROR)  # told within the stream: its status was sent before
        choices = chunk["choices"]
        if not choices:
            return "", False  # only counts of tokens
        delta = choices[0].get("delta") or {}
        # A model that reasons begins with thoughts, under one of two names.
        texts = [delta.get(key) for key in ("content", "reasoning_content", "reasoning")]
        return "".join(text for text in texts if text), choices[0].get("finish_reason") is not None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise Wrong(Failure.UNPARSEABLE) from error
