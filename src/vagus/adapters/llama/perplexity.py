"""PerplexityProbe: how surprised a model is by a fixed text, token by token.

The server has no call for that. But a prompt may be given as token ids, and it tells the
log-probability of the token that it then chooses, as the model sees it: before any bias. So the
text is tokenised once, each of its prefixes is a prompt of its own, and the next token of the text
is given a bias that leaves nothing else to choose. What the prefixes share is kept by the server,
so each costs one token of computing. (To look for a token among the likely ones that are told
instead fails just when the model is broken: it is not among them, or the likeliest of all is half
a character or the end, and then nothing is told.)

The ids are asked of the very replica: a version with another tokenizer has other ids, and then a
surprise per token can't be compared, so ids are part of what is measured.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import aiohttp

from vagus.adapters import http
from vagus.errors import MalformedData, TargetUnreachable
from vagus.model import Subject

BIAS = 1000.0
"""Nats that are added to the token of the text; models' own differ by some tens."""
MAX_TOKENS = 64
"""Of a text; what comes after is not read."""
LONGEST_ANSWER = 128 * 1024
DEADLINE = 20.0
"""Seconds for a whole text, on a server that is busy."""


@dataclass(frozen=True)
class Surprise:
    """Of one text."""

    nats: float
    """The mean over its tokens but the first."""
    ids: tuple[int, ...]


class PerplexityProbe:
    """Over ``session``, to where ``address`` says that a replica is (None: gone)."""

    def __init__(
        self, session: aiohttp.ClientSession, address: Callable[[Subject], str | None]
    ) -> None:
        self._session = session
        self._address = address

    async def surprise(self, subject: Subject, text: str) -> Surprise:
        """Raises TargetUnreachable or MalformedData; a text of fewer than two tokens is the
        latter."""
        base = self._address(subject)
        if base is None:
            raise TargetUnreachable("the replica is gone", where=str(subject))
        try:
            async with asyncio.timeout(DEADLINE):
                ids = _ids(await self._ask(base + "/tokenize", {"content": text}))[:MAX_TOKENS]
                if len(ids) < 2:
                    raise MalformedData("a text of fewer than two tokens", where=text[:40])
                total = 0.0
                for length in range(1, len(ids)):
                    told = await self._ask(base + "/completion", _forced(ids[:length], ids[length]))
                    total += _surprise(told, ids[length])
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise TargetUnreachable(
                f"no perplexity: {error or 'no answer in time'}", where=base
            ) from error
        return Surprise(total / (len(ids) - 1), ids)

    async def _ask(self, url: str, body: Mapping[str, object]) -> object:
        async with self._session.post(url, json=body, allow_redirects=False) as response:
            if response.status >= 500:
                raise TargetUnreachable(f"answers {response.status}", where=url)
            if response.status != 200:
                raise MalformedData(f"answers {response.status}", where=url)
            return await http.read_json(response, LONGEST_ANSWER)


def _forced(prefix: tuple[int, ...], token: int) -> dict[str, object]:
    return {
        "prompt": list(prefix),
        "n_predict": 1,
        "n_probs": 1,
        "temperature": 0,
        "logit_bias": [[token, BIAS]],
        "cache_prompt": True,
    }


def _ids(answer: object) -> tuple[int, ...]:
    tokens = answer.get("tokens") if isinstance(answer, dict) else None
    if not isinstance(tokens, list) or not all(type(token) is int for token in tokens):
        raise MalformedData("the server's tokens are no list of ids")
    return tuple(tokens)


def _surprise(answer: object, token: int) -> float:
    """Of ``token``, in nats."""
    try:
        told = answer["completion_probabilities"][0]  # type: ignore[index]
        chosen, log = int(told["id"]), float(told["logprob"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise MalformedData(
            "the server tells no log-probabilities", mend="llama.cpp of 2025 or later does"
        ) from error
    if chosen != token:
        raise MalformedData("the server chose another token than it was told to")
    if not -math.inf < log <= 1e-6:  # a NaN too: what a server with broken weights tells
        raise MalformedData(f"a log-probability of {log}")
    return max(-log, 0.0)
