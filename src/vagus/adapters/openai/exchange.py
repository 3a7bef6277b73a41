"""One question to one replica, and the name of every way in which it can go wrong.

A prober never raises, because what goes wrong *is* its answer. The names are those of the exchange
itself (:class:`~vagus.model.Failure`): what was refused, silent, broken off or not readable. They
are told apart by how far it had come, which is why the answer is filled in while it arrives.

An HTTP status of 4xx blames the question, not the replica; but a probe has no word for that, and an
answer that isn't one must not pass for health, so it counts as not readable.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import aiohttp

from vagus.clock import Clock
from vagus.errors import MalformedData
from vagus.model import Failure, Probe, Subject

DEADLINE = 10.0  # s for the whole exchange

Addresses = Callable[[Subject], str | None]
"""Where a replica is now, or None if it is gone."""


class Wrong(Exception):
    """The answer is wrong in the way that ``failure`` names."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Question:
    path: str
    body: Mapping[str, object] | None = None  # None: GET
    content_type: str | None = None  # of a right answer; None: any


@dataclass(slots=True)
class Answer:
    """What has come in so far. Moments are those of the monotonic clock."""

    text: str = ""
    heard: bool = False  # the first byte of the body is there
    first_token: float | None = None
    last_token: float | None = None
    tokens: int = 0

    @property
    def time_per_token(self) -> float | None:
        if self.first_token is None or self.last_token is None or self.tokens < 2:
            return None
        return (self.last_token - self.first_token) / (self.tokens - 1)


Reader = Callable[[aiohttp.ClientResponse, Answer], Awaitable[None]]
"""Reads a body that began well into an answer. Raises Wrong, or whatever reading raises."""


@dataclass(frozen=True)
class Exchanges:
    """How questions are put: over which session, to which addresses, until when."""

    session: aiohttp.ClientSession
    address: Addresses
    clock: Clock
    deadline: float = DEADLINE

    async def ask(self, subject: Subject, question: Question, read: Reader) -> Probe:
        began, answer = self.clock.monotonic(), Answer()
        failure = await self._failure(subject, question, read, answer)
        first = answer.first_token
        return Probe(
            subject=subject,
            at=self.clock.now(),
            failure=failure,
            time_to_first_token=None if first is None else first - began,
            time_per_token=answer.time_per_token,
            duration=self.clock.monotonic() - began,
            answer=answer.text,
        )

    async def _failure(
        self, subject: Subject, question: Question, read: Reader, answer: Answer
    ) -> Failure | None:
        address = self.address(subject)
        if address is None:
            return Failure.REFUSED
        try:
            async with asyncio.timeout(self.deadline):
                await self._exchange(address, question, read, answer)
        except Wrong as error:
            return error.failure
        except TimeoutError:
            return Failure.TIMEOUT
        except aiohttp.ClientConnectorError as error:
            return Failure.RESET if error.errno == errno.ECONNRESET else Failure.REFUSED
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL, MalformedData):
            return Failure.UNPARSEABLE  # not HTTP, or without an end
        except (aiohttp.ClientError, OSError):
            return Failure.TRUNCATED if answer.heard else Failure.RESET
        return None

    async def _exchange(
        self, address: str, question: Question, read: Reader, answer: Answer
    ) -> None:
        async with self.session.request(
            "GET" if question.body is None else "POST",
            address + question.path,
            json=question.body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None),  # the deadline is ours
        ) as response:
            if response.status >= 500:
                raise Wrong(Failure.SERVER_ERROR)
            if not 200 <= response.status < 300:
                raise Wrong(Failure.UNPARSEABLE)
            if question.content_type not in (None, response.content_type):
                raise Wrong(Failure.WRONG_TYPE)
            await read(response, answer)
