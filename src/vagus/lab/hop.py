"""A hop: the address of a replica, in front of its server, passing bytes.

Every replica of the lab is reached through one, always, so that making it misbehave changes
nothing else: no address, no connection, no process. In good times a hop is a plain HTTP/1.1
proxy that hands on each chunk as it comes. Told over its own control path to misbehave
(:mod:`vagus.lab.misbehaviour`), it does so for ``/v1/*`` only: health checks and metrics go on
saying what the server says, which is just what makes such faults hard to see. Or for ``/metrics``
only, and callers never notice.

The order lives in memory: a restarted replica is a well-behaved one.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from vagus.clock import Clock
from vagus.errors import LabError
from vagus.lab import misbehaviour
from vagus.lab.misbehaviour import ConnectionCut, Misbehaviour
from vagus.lab.settings import HOST

CONTROL_PATH = "/-/fault"

_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection")
) | frozenset(("te", "trailer", "transfer-encoding", "upgrade", "host", "expect"))
_AUTOMATIC = ("accept", "accept-encoding", "content-type", "user-agent")
_MAX_REQUEST_BYTES = 16 * 2**20
_KEEP_ALIVE_S = 3600.0
_HONEST = Misbehaviour("none")


class Hop:
    """Forwards to ``upstream`` (a base URL); :attr:`fault` says how it misbehaves now."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.fault: Misbehaviour | None = None
        self._upstream = upstream
        self._session = session
        self._clock = clock

    def app(self) -> web.Application:
        app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
        app.router.add_get(CONTROL_PATH, self._tell_fault)
        app.router.add_post(CONTROL_PATH, self._set_fault)
        app.router.add_route("*", "/{path:.*}", self._forward)
        return app

    async def _tell_fault(self, request: web.Request) -> web.Response:
        return web.json_response({"fault": None} if self.fault is None else described(self.fault))

    async def _set_fault(self, request: web.Request) -> web.Response:
        try:
            self.fault = misbehaviour.parse(await json_body(request))
        except LabError as error:
            return refusal(400, error)
        return await self._tell_fault(request)

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        fault = self.fault
        bent = fault if fault and request.path.startswith(fault.paths) else _HONEST
        answer = bent.answer()
        if answer is not None:
            await request.read()
            return answer
        try:
            return await self._relay(request, bent)
        except aiohttp.ClientConnectorError as error:
            return refusal(503, LabError(f"the server behind this hop does not answer: {error}"))
        except (ConnectionCut, aiohttp.ClientError):
            # A server that broke off is passed on as just that, and so is a cut of our own.
            reset(request)
            return web.Response()

    async def _relay(self, request: web.Request, bent: Misbehaviour) -> web.StreamResponse:
        body = await request.read()
        asked_at = self._clock.monotonic()
        async with self._session.request(
            request.method,
            URL(self._upstream + request.raw_path, encoded=True),
            headers=_end_to_end(request.headers),
            data=body or None,
            skip_auto_headers=_AUTOMATIC,
            allow_redirects=False,
        ) as upstream:
            headers = _end_to_end(upstream.headers)
            if not bent.keeps_length():
                headers.popall("content-length", None)
            response = web.StreamResponse(
                status=upstream.status, reason=upstream.reason, headers=headers
            )
            chunks = bent.body(
                upstream.content.iter_any(),
                sse=upstream.content_type == "text/event-stream",
                asked_at=asked_at,
                clock=self._clock,
            )
            async with aclosing(chunks):
                # Headers leave with the first chunk: a late first token is a late first byte.
                async for chunk in chunks:
                    if not response.prepared:
                        await response.prepare(request)
                    await response.write(chunk)
            if not response.prepared:
                await response.prepare(request)
            await response.write_eof()
            return response


def described(fault: Misbehaviour) -> dict[str, object]:
    """The order that would produce ``fault``, as JSON."""
    values = asdict(fault)
    return {"fault": values.pop("name"), **values}


def _end_to_end(headers: aiohttp.typedefs.LooseHeaders) -> CIMultiDict[str]:
    kept = CIMultiDict(headers)
    for name in _HOP_BY_HOP:
        kept.popall(name, None)
    return kept


def reset(request: web.Request) -> None:
    """End the client's connection with RST, as a killed process or a cut cable would."""
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def json_body(request: web.Request) -> object:
    """The JSON of a request; a browser's plain form post is refused, so no page can order us."""
    if request.content_type != "application/json":
        raise LabError("the body is not JSON", mend="send Content-Type: application/json")
    try:
        body: object = await request.json()
    except ValueError as error:
        raise LabError(f"the body is not JSON: {error}") from error
    return body


def refusal(status: int, error: LabError) -> web.Response:
    """An error as the lab's HTTP APIs say it."""
    return web.json_response({"error": error.message, "mend": error.mend}, status=status)


@asynccontextmanager
async def serving(app: web.Application, port: int) -> AsyncIterator[None]:
    """Listen on loopback while the context lasts.

    A handler is cancelled when its client goes away, so that the server behind a hop stops
    generating for nobody. Idle connections are kept for an hour: a gateway that reuses one in the
    instant we close it would count an error against a healthy replica.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        keepalive_timeout=_KEEP_ALIVE_S,
        shutdown_timeout=0.5,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as error:
            raise port_taken(port, error) from error
        yield
    finally:
        await runner.cleanup()


def port_taken(port: int, error: OSError) -> LabError:
    """What to tell somebody whose port is in use."""
    return LabError(
        f"port {port} can't be listened on: {error.strerror or error}",
        mend="end what uses it, or move the lab with another offset",
    )


@asynccontextmanager
async def hop_to(upstream: str, port: int, clock: Clock) -> AsyncIterator[Hop]:
    """A hop that listens on ``port`` while the context lasts.

    It opens a connection a request: llama.cpp's HTTP server gives each kept connection a thread of
    its small pool, and closes idle ones when it likes.
    """
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, auto_decompress=False
    ) as session:
        hop = Hop(upstream, session, clock)
        async with serving(hop.app(), port):
            yield hop
