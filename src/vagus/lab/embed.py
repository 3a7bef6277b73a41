"""One replica of the embedding service: OpenAI's ``/v1/embeddings`` in front of a real model.

The model computes on a thread of its own, one request after the other; the event loop only queues
for it. So a replica with a long queue still answers ``/health`` and ``/metrics`` at once, and its
``embed_texts_total`` goes on moving: busy can be told from hung.

Like a chat replica's hop it can be told to misbehave on ``/v1/*`` (:mod:`vagus.lab.misbehaviour`);
the order is forgotten with the process.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, ValidationError

from vagus.clock import Clock, SystemClock
from vagus.errors import LabError, MissingExtra
from vagus.lab import misbehaviour
from vagus.lab.hop import CONTROL_PATH, described, json_body, refusal, serving
from vagus.lab.metrics import CONTENT_TYPE, Counter, Gauge, Histogram, exposition
from vagus.lab.minilm import DIMENSION, MODEL, Embedder, Embeds, Vectors, tokenizer_file
from vagus.lab.misbehaviour import Misbehaviour
from vagus.lab.settings import LabSettings

FAULTS = ("slow", "delay", "garbage", "http-500")
"""Of the hop's faults, those that mean something for an answer in one piece."""

_MOST_TEXTS = 64
_MOST_BYTES = 1 << 20


def command(settings: LabSettings, name: str, port: int) -> list[str]:
    """The command line of the replica ``name`` on ``port``."""
    return [
        *(sys.executable, "-m", "vagus.lab.embed"),
        *("--settings", str(settings.settings_file), "--name", name, "--port", str(port)),
    ]


class EmbeddingsRequest(BaseModel):
    """What OpenAI's clients send; only texts, no token ids."""

    input: str | list[str]
    model: str = MODEL
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Literal[384] | None = None

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class EmbeddingServer:
    """The HTTP side of one loaded model; ``model`` is only ever called on one thread."""

    def __init__(self, model: Embeds, clock: Clock) -> None:
        self.fault: Misbehaviour | None = None
        self._model = model
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._requests = Counter("embed_requests_total", "Requests answered, by status code.")
        self._duration = Histogram("embed_request_duration_seconds", "From request to answer.")
        self._in_flight = Gauge("embed_requests_in_flight", "Requests that wait or are computed.")
        self._texts = Counter("embed_texts_total", "Texts embedded: the step counter.")
        self._tokens = Counter("embed_tokens_total", "Tokens read by the model.")
        self._identity = Gauge(
            "embed_model_info",
            "Which model answers, and how long its vectors are.",
            1,
            (("model", MODEL), ("dimension", str(DIMENSION))),
        )
        self._started = Gauge("process_start_time_seconds", "Unix time of start.", clock.now())
        for counter in (self._texts, self._tokens):
            counter.add(0)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=_MOST_BYTES)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._tell_metrics)
        app.router.add_get(CONTROL_PATH, self._tell_fault)
        app.router.add_post(CONTROL_PATH, self._set_fault)
        app.router.add_post("/v1/embeddings", self._measured)
        return app

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _tell_metrics(self, request: web.Request) -> web.Response:
        text = exposition(
            self._requests,
            self._duration,
            self._in_flight,
            self._texts,
            self._tokens,
            self._identity,
            self._started,
        )
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def _tell_fault(self, request: web.Request) -> web.Response:
        return web.json_response({"fault": None} if self.fault is None else described(self.fault))

    async def _set_fault(self, request: web.Request) -> web.Response:
        try:
            fault = misbehaviour.parse(await json_body(request))
            if fault is not None and fault.name not in FAULTS:
                raise LabError(
                    f"an embedding replica can't do {fault.name}",
                    mend=f"one of {', '.join(FAULTS)}",
                )
        except LabError as error:
            return refusal(400, error)
        self.fault = fault
        return await self._tell_fault(request)

    async def _measured(self, request: web.Request) -> web.Response:
        began = self._clock.monotonic()
        self._in_flight.value += 1
        code = "499"  # What stays if the client leaves before there is an answer.
        try:
            response = await self._bent(request)
            code = str(response.status)
            return response
        finally:
            self._in_flight.value -= 1
            self._requests.add(code=code)
            self._duration.observe(self._clock.monotonic() - began)

    async def _bent(self, request: web.Request) -> web.Response:
        """The answer, the way in which this replica misbehaves now."""
        body = await request.read()
        if self.fault is None:
            return await self._embeddings(body)
        if (instead := self.fault.answer()) is not None:
            return instead
        asked_at = self._clock.monotonic()
        honest = await self._embeddings(body)
        late = self.fault.body(_whole(honest), sse=False, asked_at=asked_at, clock=self._clock)
        return web.Response(
            status=honest.status,
            body=b"".join([chunk async for chunk in late]),
            content_type=honest.content_type,
        )

    async def _embeddings(self, body: bytes) -> web.Response:
        try:
            wanted = EmbeddingsRequest.model_validate_json(body)
        except ValidationError as error:
            first = error.errors()[0]
            return _invalid(f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}")
        if not 1 <= len(wanted.texts) <= _MOST_TEXTS or not all(wanted.texts):
            return _invalid(f"input: 1 to {_MOST_TEXTS} texts, none of them empty")
        loop = asyncio.get_running_loop()
        vectors, tokens = await loop.run_in_executor(self._thread, self._model.embed, wanted.texts)
        self._texts.add(len(vectors))
        self._tokens.add(tokens)
        return web.json_response(
            {
                "object": "list",
                "model": MODEL,
                "data": [
                    {"object": "embedding", "index": index, "embedding": embedding}
                    for index, embedding in enumerate(_encoded(vectors, wanted.encoding_format))
                ],
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )


def _encoded(vectors: Vectors, encoding: str) -> Sequence[list[float] | str]:
    if encoding == "base64":
        return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in vectors]
    return [row.tolist() for row in vectors]


def _invalid(message: str) -> web.Response:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return web.json_response({"error": error}, status=400)


async def _whole(response: web.Response) -> AsyncIterator[bytes]:
    if isinstance(response.body, bytes):
        yield response.body


async def run(settings: LabSettings, port: int) -> None:
    """Serve on ``port`` until SIGTERM; nobody listens there before the model is loaded."""
    model = Embedder(tokenizer_file(settings.cache_dir))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(EmbeddingServer(model, SystemClock()).app(), port):
        await stop.wait()


def main() -> None:
    """The command line of a replica."""
    parser = argparse.ArgumentParser(prog="python -m vagus.lab.embed")
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--name", default="embed")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    try:
        asyncio.run(run(LabSettings.load(options.settings), options.port))
    except (LabError, MissingExtra) as error:
        sys.exit(f"{options.name}: {error}")


if __name__ == "__main__":
    main()
