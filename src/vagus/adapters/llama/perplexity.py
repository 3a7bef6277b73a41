"""PerplexityProbe: how surprised a model is by a fixed text, token by token.

The server has no call for that. But it tells the most likely next tokens after any prompt, and a
prompt may be given as token ids. So the text is tokenised once, and each of its prefixes is a
prompt of its own with one token to predict; the server keeps what the prefixes share, so each costs
one token of computing. A token that is not among those told is at most as likely as the last of
them: it counts as that, and the surprise as at least so much.

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

TOLD = 100
"""Next tokens that are told: nearly all of the probability, and some kilobytes."""
MAX_TOKENS = 64
"""Of a text; what comes after is not read."""
LONGEST_ANSWER = 512 * 1024
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
                    told = await self._ask(base + "/completion", _next(ids[:length]))
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


def _next(prefix: tuple[int, ...]) -> dict[str, object]:
    return {
        "prompt": list(prefix),
        "n_predict": 1,
        "n_probs": TOLD,
        "temperature": 0,
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
        told = answer["completion_probabilities"][0]["top_logprobs"]  # type: ignore[index]
        logs = {int(one["id"]): float(one["logprob"]) for one in told}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise MalformedData(
            "the server tells no log-probabilities", mend="llama.cpp of 2025 or later does"
        ) from error
    log = logs.get(token, min(logs.values(), default=math.nan))
    if not log <= 1e-6:  # a NaN too: what a server with broken weights tells
        raise MalformedData(f"a log-probability of {log}")
    return max(-log, 0.0)
