"""What every request passes before a route sees it: host, rate, size, token.

Written against ASGI itself and not as a route's dependency, because a framework parses a body
before it asks for anything: what is refused here was not looked into.

- **Host.** A page in a browser may have its own name resolve to 127.0.0.1 (DNS rebinding) and so
  read what is served here without a token; it can't choose the Host header that is sent along.
- **Rate.** Who shows a valid token has a bucket of their own; who doesn't shares their address's,
  and looking at ``/healthz`` and guessing at secrets are two: else a guesser would keep a watchdog
  from its look, which would end in a restart.
- **Size and patience.** A body is read whole, up to a limit and within a time, before anything
  else is done for it.
- **Token.** Everything under ``/v1`` needs one. Missing, unknown, malformed, expired and revoked
  are one answer, and nothing is said of which paths exist.

Addresses are those of the connection: a header that a caller can write says nothing.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vagus.api.audit import Audit
from vagus.api.limits import Limits
from vagus.api.problems import Problem
from vagus.api.served import Served
from vagus.errors import StateError
from vagus.state.tokens import Token

LARGEST_BODY = 64 * 1024  # bytes; a proposal with a long reason has one
BODY_PATIENCE = 10.0  # s for a body to arrive
GUARDED = "/v1"
LOOPBACK = ("127.0.0.1", "localhost", "::1")

_CHANGES_NOTHING = ("GET", "HEAD", "OPTIONS", "TRACE")


class Doors:
    def __init__(self, app: ASGIApp, served: Served, counts: Counter[int]) -> None:
        self._app = app
        self._served = served
        self._counts = counts
        api = served.settings.api
        self._hosts = frozenset(name.lower() for name in (*LOOPBACK, *api.hosts))
        self._limits = Limits(served.clock, count=api.rate.count, period=api.rate.period)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            await self._let_in(scope, receive, send)
        except Problem as problem:
            self._counts[int(problem.status)] += 1
            await problem.response()(scope, receive, send)

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._check_host(Headers(scope=scope).getlist("host"))
        token = None
        if scope["path"] == GUARDED or scope["path"].startswith(GUARDED + "/"):
            token = await self._recognise(scope)
        else:
            self._check_rate(f"open {_address(scope)}")
            if scope["method"] == "HEAD":  # what a watchdog may ask with; the server drops the body
                scope = {**scope, "method": "GET"}
        scope.setdefault("state", {})["token"] = token
        if scope["method"] in _CHANGES_NOTHING:
            await self._app(scope, receive, send)
            return
        body = await _whole(scope, receive)
        if token is not None:
            send = Audit(self._served, token, scope).watching(send)
        await self._app(scope, _again(body, receive), send)

    def _check_host(self, hosts: Sequence[str]) -> None:
        if len(hosts) != 1 or _without_port(hosts[0]) not in self._hosts:
            raise Problem(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this is not the host of Vagus",
                mend="ask for 127.0.0.1, or name the host in api.hosts",
            )

    async def _recognise(self, scope: Scope) -> Token:
        secret = _secret(Headers(scope=scope).getlist("authorization"))
        token = None
        if secret is not None:
            try:
                token = await asyncio.to_thread(self._served.tokens.find, secret)
            except StateError as error:
                raise Problem(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "the state can't be read now, so nobody can be recognised",
                    headers={"Retry-After": "5"},
                ) from error
        if token is None:
            self._check_rate(f"guess {_address(scope)}")
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "a valid token is needed",
                mend="send 'Authorization: Bearer ...'; a token is made by 'vagus token create'",
                headers={"WWW-Authenticate": "Bearer"},
            )
        self._check_rate(f"token {token.id}")
        return token

    def _check_rate(self, key: str) -> None:
        wait = self._limits.wait(key)
        if wait > 0:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "that was too many requests in too short a time",
                mend="wait, or raise api.rate",
                headers={"Retry-After": str(math.ceil(wait))},
            )


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _without_port(host: str) -> str:
    if host.startswith("["):  # an IPv6 address
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().removesuffix(".")


def _secret(headers: Sequence[str]) -> str | None:
    if len(headers) != 1:
        return None
    scheme, _, secret = headers[0].partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


async def _whole(scope: Scope, receive: Receive) -> bytes:
    """The body, or a Problem if it is too large, too slow, or never ends."""
    told = Headers(scope=scope).get("content-length", "0")
    if not told.isdecimal() or int(told) > LARGEST_BODY:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_PATIENCE):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Problem(HTTPStatus.BAD_REQUEST, "the request ended before its body did")
                body += message.get("body", b"")
                if len(body) > LARGEST_BODY:
                    raise _too_large()
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError as error:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "the body took too long to arrive") from error


def _too_large() -> Problem:
    return Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have {LARGEST_BODY} bytes at the most"
    )


def _again(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that first gives the body that was read already."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
