"""Callers: an open loop at a fixed rate, and their judgement of each answer.

Arrivals do not wait for answers, and time counts from when a request was *meant* to leave, so that
a stalled system can't slow its own critics (no coordinated omission). An answer is bad if a caller
could not use it: a transport error, another status than 200, another content type than a stream of
events, a stream that can't be parsed or does not end. It is slow if it is good and took more than
five times as long as the median before the fault, to its first token or altogether.
"""

from __future__ import annotations

import asyncio
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from vagus.clock import Clock

SLOW_FACTOR = 5.0
GIVES_UP_AFTER_S = 12.0
_COHORTS = ("eu", "us")
_BODY = {"model": "light", "stream": True, "messages": [{"role": "user", "content": "How?"}]}


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and what became of it; monotonic times, in seconds."""

    intended: float
    sent: float
    ended: float
    first_token: float | None = None
    flaw: str = ""
    """Why it is bad, in a word; empty if it is good."""

    @property
    def total(self) -> float:
        return self.ended - self.intended

    @property
    def time_to_first_token(self) -> float:
        return (self.ended if self.first_token is None else self.first_token) - self.intended


@dataclass(frozen=True)
class Normal:
    """How good answers were before the fault: medians in seconds."""

    time_to_first_token: float
    total: float

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> Normal:
        good = [answer for answer in answers if not answer.flaw]
        if not good:
            flaws = sorted({answer.flaw for answer in answers})
            raise RuntimeError(f"no good answer before the fault: {', '.join(flaws)}")
        return cls(
            statistics.median(answer.time_to_first_token for answer in good),
            statistics.median(answer.total for answer in good),
        )

    def exceeded_by(self, answer: Answer) -> bool:
        return (
            answer.total > SLOW_FACTOR * self.total
            or answer.time_to_first_token > SLOW_FACTOR * self.time_to_first_token
        )


class Load:
    """Requests at ``rate`` per second to ``url``; :attr:`answers` grows as they come back."""

    def __init__(self, url: str, rate: float, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.answers: list[Answer] = []
        self._url = url
        self._interval = 1.0 / rate
        self._session = session
        self._clock = clock
        self._asking: set[asyncio.Task[None]] = set()
        self._next = clock.monotonic()

    async def send(self, count: int) -> None:
        """Send ``count`` requests, each when it is due; returns when the last one has been sent."""
        for number in range(count):
            await self._clock.sleep(self._next - self._clock.monotonic())
            cohort = _COHORTS[number % len(_COHORTS)]
            task = asyncio.create_task(self._ask(self._next, cohort))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            self._next += self._interval

    async def finish(self) -> None:
        """Wait for the answers that are still to come."""
        while self._asking:
            await asyncio.gather(*self._asking)

    async def _ask(self, intended: float, cohort: str) -> None:
        headers = {"x-user-cluster": cohort}
        sent = self._clock.monotonic()
        first: float | None = None
        body = b""
        flaw = ""
        try:
            async with asyncio.timeout(GIVES_UP_AFTER_S):
                async with self._session.post(self._url, json=_BODY, headers=headers) as response:
                    async for chunk in response.content.iter_any():
                        first = self._clock.monotonic() if first is None else first
                        body += chunk
                    flaw = _flaw(response, body)
        except TimeoutError:
            flaw = "timeout"
        except aiohttp.ClientPayloadError:
            flaw = "cut"
        except (aiohttp.ClientError, OSError):
            flaw = "no answer"
        self.answers.append(Answer(intended, sent, self._clock.monotonic(), first, flaw))


def _flaw(response: aiohttp.ClientResponse, body: bytes) -> str:
    if response.status != 200:
        return f"HTTP {response.status}"
    if response.content_type != "text/event-stream":
        return "wrong type"
    events = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line]
    if not events or events[-1] != b"[DONE]":
        return "cut"
    try:
        chunks = [json.loads(event) for event in events[:-1]]
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    except (ValueError, TypeError, LookupError, AttributeError):
        return "unparseable"
    return "" if text else "empty"
