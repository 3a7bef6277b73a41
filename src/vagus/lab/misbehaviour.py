"""The ways in which a healthy server can be made to look sick.

A fault that is painted onto a dashboard proves nothing. These act on the bytes of real answers, so
that everybody between the server and its user (gateway, pipeline, client, Vagus) meets the same
thing they would meet in the wild: a stream that crawls, one that is reset midway, a login page
where JSON was due. Two kinds:

- those that answer *instead of* the server (:meth:`Misbehaviour.answer`), as a broken sidecar or a
  crashed worker behind a living health check does;
- those that *bend the body* of its answer (:meth:`Misbehaviour.body`): an asynchronous iterator
  over chunks goes in, another comes out. Slowness is one formula: a chunk that arrived ``t``
  seconds after the request leaves at a later point of the same, stretched, time line.

Most concern callers. Three concern whoever watches: what the server says *of itself* is missing,
stands still or is not true, while it serves as well as ever.
"""

from __future__ import annotations

import asyncio
import json
import random
import string
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from aiohttp import web

from vagus.clock import Clock
from vagus.errors import LabError


class ConnectionCut(Exception):
    """The answer ends here, and not as HTTP would end it."""


@dataclass(frozen=True)
class Misbehaviour:
    """Harmless by itself: the server is asked and its body passes unchanged."""

    paths: ClassVar[str] = "/v1/"
    """What the path of a request starts with that is answered so."""

    name: str

    def answer(self) -> web.Response | None:
        """The answer to give without asking the server, if there is one."""
        return None

    def keeps_length(self) -> bool:
        """Whether the server's Content-Length is still to be announced."""
        return True

    async def body(
        self, chunks: AsyncIterator[bytes], *, sse: bool, asked_at: float, clock: Clock
    ) -> AsyncGenerator[bytes, None]:
        """Bend the body; ``asked_at`` is the monotonic time at which the server was asked."""
        async for chunk in chunks:
            yield chunk


@dataclass(frozen=True)
class Late(Misbehaviour):
    """What arrives leaves later, each chunk at its own point of another time line."""

    def leaves_at(self, arrived: float, first: float, asked: float) -> float:
        return arrived

    async def body(
        self, chunks: AsyncIterator[bytes], *, sse: bool, asked_at: float, clock: Clock
    ) -> AsyncGenerator[bytes, None]:
        arrivals: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()

        async def read() -> None:
            try:
                async for chunk in chunks:
                    arrivals.put_nowait((clock.monotonic(), chunk))
            finally:
                arrivals.put_nowait(None)

        # The server is read at its own pace: held back, it would be slowed by the pipe as well.
        reader = asyncio.create_task(read())
        try:
            first: float | None = None
            while (arrival := await arrivals.get()) is not None:
                arrived, chunk = arrival
                first = arrived if first is None else first
                await clock.sleep(self.leaves_at(arrived, first, asked_at) - clock.monotonic())
                yield chunk
            await reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


@dataclass(frozen=True)
class Slow(Late):
    """Time passes ``factor`` times as slowly: before the first chunk, after it, or both."""

    factor: float = 10.0

    def leaves_at(self, arrived: float, first: float, asked: float) -> float:
        waited, streamed = first - asked, arrived - first
        if self.name != "slow-tokens":
            waited *= self.factor
        if self.name != "slow-first-token":
            streamed *= self.factor
        return asked + waited + streamed


@dataclass(frozen=True)
class Delay(Late):
    """Every answer comes as much later, however long it is: a detour in the network."""

    seconds: float = 3.0

    def leaves_at(self, arrived: float, first: float, asked: float) -> float:
        return arrived + self.seconds


@dataclass(frozen=True)
class Cut(Misbehaviour):
    """The connection is reset after some chunks; an answer in one piece is cut in its middle."""

    chunks: int = 3

    async def body(
        self, chunks: AsyncIterator[bytes], *, sse: bool, asked_at: float, clock: Clock
    ) -> AsyncGenerator[bytes, None]:
        passed = 0
        async for chunk in chunks:
            if not sse:
                yield chunk[: max(1, len(chunk) // 2)]
                raise ConnectionCut
            yield chunk
            passed += 1
            if passed >= self.chunks:
                raise ConnectionCut
        raise ConnectionCut


@dataclass(frozen=True)
class Reset(Misbehaviour):
    """The connection is reset before the first byte of the answer."""

    async def body(
        self, chunks: AsyncIterator[bytes], *, sse: bool, asked_at: float, clock: Clock
    ) -> AsyncGenerator[bytes, None]:
        async for chunk in chunks:
            if chunk:
                raise ConnectionCut
            yield chunk
        raise ConnectionCut


@dataclass(frozen=True)
class ScrapeGone(Misbehaviour):
    """Its metrics can't be had."""

    paths: ClassVar[str] = "/metrics"

    def answer(self) -> web.Response:
        return web.Response(status=503, text="no metrics today\n")


@dataclass(frozen=True)
class ScrapeFrozen(Misbehaviour):
    """Its metrics are those of the first scrape, for ever: an exporter with a cache that hangs."""

    paths: ClassVar[str] = "/metrics"

    def __post_init__(self) -> None:
        # Not a field: it is no part of the order.
        object.__setattr__(self, "_first", list[bytes]())

    def keeps_length(self) -> bool:
        return False

    async def body(
        self, chunks: AsyncIterator[bytes], *, sse: bool, asked_at: float, clock: Clock
    ) -> AsyncGenerator[bytes, None]:
        first: list[bytes] = self._first  # type: ignore[attr-defined]
        now = b"".join([chunk async for chunk in chunks])
        first[:] = first or [now]
        yield first[0]


@dataclass(frozen=True)
class ScrapeLying(Misbehaviour):
    """Every value of its metrics is ``factor`` times what it is."""

    paths: ClassVar[str] = "/metrics"

    factor: float = 10.0

    def keeps_length(self) -> bool:
        return False

    async def body(
        self, chunks: AsyncIterator[bytes], *, sse: bool, asked_at: float, clock: Clock
    ) -> AsyncGenerator[bytes, None]:
        text = b"".join([chunk async for chunk in chunks]).decode(errors="replace")
        yield "".join(self._bent(line) + "\n" for line in text.splitlines()).encode()

    def _bent(self, line: str) -> str:
        series, blank, value = line.rpartition(" ")
        try:
            number = float(value)
        except ValueError:
            return line
        return line if line.startswith("#") else f"{series}{blank}{number * self.factor:g}"


@dataclass(frozen=True)
class Nonsense(Misbehaviour):
    """The server's own answer, shape and pace, with every word of it replaced by noise.

    So does a model whose weights were damaged in the download: nothing but the text tells.
    """

    seed: int = 0

    TEXT_KEYS = frozenset({"content", "text", "token", "reasoning_content"})

    def keeps_length(self) -> bool:
        return False

    async def body(
        self, chunks: AsyncIterator[bytes], *, sse: bool, asked_at: float, clock: Clock
    ) -> AsyncGenerator[bytes, None]:
        noise = random.Random(self.seed)
        pending = b""
        async for chunk in chunks:
            pending += chunk
            if sse:
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    yield self._event(line, noise) + b"\n"
        if pending:
            yield self._event(pending, noise)

    def _event(self, line: bytes, noise: random.Random) -> bytes:
        """One line of a stream, or a whole JSON body; what isn't JSON is passed as it is."""
        prefix = b"data: " if line.startswith(b"data: ") else b""
        try:
            payload = json.loads(line[len(prefix) :])
        except ValueError:
            return line
        return prefix + json.dumps(self._scrambled(payload, noise)).encode()

    def _scrambled(self, node: object, noise: random.Random) -> object:
        if isinstance(node, dict):
            return {
                key: _noise_like(value, noise)
                if key in self.TEXT_KEYS and isinstance(value, str)
                else self._scrambled(value, noise)
                for key, value in node.items()
            }
        if isinstance(node, list):
            return [self._scrambled(item, noise) for item in node]
        return node


def _noise_like(text: str, noise: random.Random) -> str:
    """Letters for letters, so that length, blanks and token counts stay plausible."""
    return "".join(noise.choice(string.ascii_letters) if c.isalpha() else c for c in text)


@dataclass(frozen=True)
class Garbage(Misbehaviour):
    """200, at once, and not what was asked for: the proxy's or the captive portal's own page."""

    def answer(self) -> web.Response:
        page = b"<!doctype html><title>It works!</title><p>\x00\xff\xfe\x1b[default page]</p>"
        return web.Response(body=page, content_type="text/html")


@dataclass(frozen=True)
class HttpError(Misbehaviour):
    """Every request fails; the health check, which asks for nothing, does not notice."""

    status: int = 500

    def answer(self) -> web.Response:
        error = {"message": "worker exited unexpectedly", "type": "server_error"}
        return web.json_response({"error": error}, status=self.status)


_KINDS: Mapping[str, tuple[type[Misbehaviour], str]] = {
    "slow": (Slow, "factor"),
    "slow-first-token": (Slow, "factor"),
    "slow-tokens": (Slow, "factor"),
    "garbage": (Garbage, ""),
    "garbage-json": (Nonsense, "seed"),
    "cut": (Cut, "chunks"),
    "delay": (Delay, "seconds"),
    "reset": (Reset, ""),
    "http-500": (HttpError, "status"),
    "scrape-gone": (ScrapeGone, ""),
    "scrape-frozen": (ScrapeFrozen, ""),
    "scrape-lying": (ScrapeLying, "factor"),
}
_RANGES = {
    "factor": (1, 1000),
    "seconds": (0, 600),
    "seed": (0, 2**32),
    "chunks": (1, 10_000),
    "status": (500, 599),
}

NAMES = tuple(_KINDS)
"""What :func:`parse` knows."""


def parse(order: object) -> Misbehaviour | None:
    """Read ``{"fault": NAME, PARAMETER: NUMBER}``; ``{"fault": null}`` means: behave.

    Raises :class:`~vagus.errors.LabError` for a name or a parameter that means nothing here.
    """
    if not isinstance(order, dict) or "fault" not in order:
        raise LabError("an order needs a key 'fault'", mend=f"one of {', '.join(NAMES)} or null")
    name = order["fault"]
    parameters = {key: value for key, value in order.items() if key != "fault"}
    if name is None and not parameters:
        return None
    if name not in _KINDS:
        raise LabError(f"no fault is called {name!r}", mend=f"one of {', '.join(NAMES)} or null")
    kind, parameter = _KINDS[name]
    for key, value in parameters.items():
        if key != parameter:
            raise LabError(
                f"{name} has no parameter {key!r}",
                mend=f"it has {parameter!r}" if parameter else "it has none",
            )
        low, high = _RANGES[key]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not low <= value <= high:
            raise LabError(f"{key} is {value!r}", mend=f"a number from {low} to {high}")
        if key != "factor" and value != int(value):
            raise LabError(f"{key} is {value!r}", mend="a whole number")
    return kind(name, **{k: v if k == "factor" else int(v) for k, v in parameters.items()})
