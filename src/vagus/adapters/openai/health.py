"""HealthProber: whoever has no question of its own is asked whether it is well.

The weakest of probes, and for a pipeline the right one: a real question would go through all that
it depends on, and blame it for theirs.
"""

from __future__ import annotations

import aiohttp

from vagus.adapters import http
from vagus.adapters.openai.exchange import Answer, Exchanges, Question
from vagus.model import Probe, Subject

LONGEST_ANSWER = 64 * 1024  # bytes


class HealthProber:
    """Implements :class:`~vagus.ports.Prober` for anything that answers ``GET /health``."""

    def __init__(self, exchanges: Exchanges, path: str = "/health") -> None:
        self._exchanges = exchanges
        self._question = Question(path)

    async def probe(self, subject: Subject) -> Probe:
        return await self._exchanges.ask(subject, self._question, _read)


async def _read(response: aiohttp.ClientResponse, answer: Answer) -> None:
    async for _ in http.chunks(response, LONGEST_ANSWER):
        answer.heard = True
