"""A light model server: the shape and the pace of a small one, at almost no cost.

The reaction benchmark measures how soon traffic leaves a faulty replica, so the replicas must never
be what limits it. This one answers OpenAI's chat endpoint with a stream of ten tokens, the first
after 20 ms and the last after 100 ms, and keeps llama.cpp's own counters about it (a real server
that crawls shows it there too). Ordered over ``/-/fault`` it misbehaves like the lab's replicas do,
for ``/v1/*`` only: ``/health`` and ``/metrics`` go on answering.

Run as ``python -m benchmarks.reaction.upstream PORT``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from aiohttp import ClientConnectionResetError, web

from vagus.clock import Clock, SystemClock
from vagus.errors import LabError
from vagus.lab import misbehaviour
from vagus.lab.hop import refusal, reset
from vagus.lab.misbehaviour import ConnectionCut, Misbehaviour
from vagus.lab.settings import HOST

WORDS = ("The", " heart", " slows", " when", " the", " vagus", " nerve", " tells", " it", " to")
FIRST_TOKEN_S = 0.020
NEXT_TOKEN_S = 0.009
_PROMPT_TOKENS = 12
_HONEST = Misbehaviour("none")
_KEEP_ALIVE_S = 3600.0


@dataclass
class Counters:
    """What llama.cpp's server counts, by its names without the prefix ``llamacpp:``."""

    prompt_tokens_total: int = 0
    prompt_seconds_total: float = 0.0
    tokens_predicted_total: int = 0
    tokens_predicted_seconds_total: float = 0.0
    n_decode_total: int = 0
    requests_processing: int = 0
    requests_deferred: int = 0

    def exposition(self) -> str:
        """Prometheus text format."""
        lines: list[str] = []
        for name, value in vars(self).items():
            kind = "gauge" if name.startswith("requests_") else "counter"
            lines += [f"# TYPE llamacpp:{name} {kind}", f"llamacpp:{name} {value}"]
        return "\n".join(lines) + "\n"


class Upstream:
    """One replica. Its state is its counters and the way it misbehaves now."""

    def __init__(self, clock: Clock) -> None:
        self.counters = Counters()
        self.fault = _HONEST
        self._clock = clock

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/-/fault", self._order)
        app.router.add_post("/v1/chat/completions", self._chat)
        return app

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=self.counters.exposition())

    async def _order(self, request: web.Request) -> web.Response:
        try:
            self.fault = misbehaviour.parse(await request.json()) or _HONEST
        except LabError as error:
            return refusal(400, error)
        return web.json_response({"fault": self.fault.name})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        instead = self.fault.answer()
        if instead is not None:
            return instead
        count = min(int(asked.get("max_tokens") or len(WORDS)), len(WORDS))
        self.counters.requests_processing += 1
        try:
            if asked.get("stream"):
                return await self._stream(request, count)
            return await self._whole(count)
        except ConnectionCut:
            reset(request)
            return web.Response()
        except ClientConnectionResetError:
            return web.Response()  # whoever asked has left
        finally:
            self.counters.requests_processing -= 1

    async def _stream(self, request: web.Request, count: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        async with aclosing(self._tokens(count, sse=True)) as tokens:
            async for event in tokens:
                if not response.prepared:
                    await response.prepare(request)
                await response.write(event)
        await response.write_eof()
        return response

    async def _whole(self, count: int) -> web.Response:
        async with aclosing(self._tokens(count, sse=False)) as tokens:
            async for _ in tokens:
                pass
        message = {"role": "assistant", "content": "".join(WORDS[:count])}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"object": "chat.completion", "choices": [choice]})

    async def _tokens(self, count: int, *, sse: bool) -> AsyncGenerator[bytes, None]:
        """Events as they leave, bent by the fault, and counted as they leave."""
        asked_at = last = self._clock.monotonic()
        bent = self.fault.body(self._events(count), sse=sse, asked_at=asked_at, clock=self._clock)
        first = True
        async with aclosing(bent):
            async for event in bent:
                now = self._clock.monotonic()
                self.counters.n_decode_total += 1
                if first:
                    self.counters.prompt_tokens_total += _PROMPT_TOKENS
                    self.counters.prompt_seconds_total += now - last
                else:
                    self.counters.tokens_predicted_total += 1
                    self.counters.tokens_predicted_seconds_total += now - last
                first, last = False, now
                yield event

    async def _events(self, count: int) -> AsyncGenerator[bytes, None]:
        due = self._clock.monotonic() + FIRST_TOKEN_S
        for number, word in enumerate(WORDS[:count]):
            # By the clock, not one nap after another: a busy machine would add its delays up.
            await self._clock.sleep(due - self._clock.monotonic())
            due += NEXT_TOKEN_S
            event = _event({"content": word}, None)
            last = number + 1 == count
            yield event + _event({}, "stop") + b"data: [DONE]\n\n" if last else event


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    payload = {"object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


async def _serve(port: int) -> None:
    runner = web.AppRunner(
        Upstream(SystemClock()).app(), access_log=None, keepalive_timeout=_KEEP_ALIVE_S
    )
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
