"""The supervisor's HTTP API: what a program may ask of the lab, and how it is refused.

Orders carry a token of the caller's choice, and an order is carried out once: repeat it with the
same token, because the connection broke or the caller crashed and came back, and you get the first
answer again. Without that, a healer that is restarted in the middle of a restart would do two. A
caller who hangs up doesn't undo or halve an order either: it runs to its end by itself.

Reading is free; whatever changes something needs the bearer token that was written for this
machine's user alone, so neither another user nor a web page can break the lab.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from vagus.errors import LabError
from vagus.lab.fleet import Fleet, Refused
from vagus.lab.hop import json_body, refusal

_LONGEST_TOKEN = 200

Answer = dict[str, object]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Health:
    """How far the lab is; ``phase`` is ``starting`` or ``up``."""

    phase: str = "starting"
    step: str = "supervisor"
    done: float = 0.0
    note: str = ""


class Orders:
    """Remembers what was ordered under which token, and what came of it."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[str, asyncio.Task[Answer]]] = {}

    async def once(self, token: str, what: str, act: Callable[[], Awaitable[Answer]]) -> Answer:
        """Carry out ``act`` unless ``token`` was used before; a failure frees the token again."""
        if token in self._given:
            before, task = self._given[token]
            if before != what:
                raise Refused(409, f"token {token!r} stands for: {before}", mend="use a new token")
        else:
            task = asyncio.create_task(_as_coroutine(act))
            self._given[token] = (what, task)
        try:
            return await asyncio.shield(task)
        except LabError:
            if self._given.get(token) == (what, task):
                del self._given[token]
            raise


async def _as_coroutine(act: Callable[[], Awaitable[Answer]]) -> Answer:
    return await act()


class Api:
    """Routes; ``shut_down`` is called when somebody orders the lab's end."""

    def __init__(
        self, fleet: Fleet, health: Health, secret: str, shut_down: Callable[[], None]
    ) -> None:
        self._fleet = fleet
        self._health = health
        self._secret = secret
        self._shut_down = shut_down
        self._orders = Orders()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/replicas", self._list),
                web.get("/replicas/{name}", self._show),
                web.post("/replicas/{name}/restart", self._restart),
                web.post("/replicas/{name}/fault", self._fault),
                web.delete("/replicas/{name}", self._remove),
                web.post("/components/{component}/replicas", self._add),
                web.post("/shutdown", self._shutdown),
            ]
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if request.method not in ("GET", "HEAD") and not hmac.compare_digest(
            given.encode(), f"Bearer {self._secret}".encode()
        ):
            mend = "send Authorization: Bearer with what is in supervisor.token"
            return refusal(401, LabError("who are you?", mend=mend))
        try:
            return await handler(request)
        except Refused as error:
            return refusal(error.status, error)
        except LabError as error:
            return refusal(500, error)
        except web.HTTPException as error:
            return refusal(
                error.status, LabError(f"{request.method} {request.path}: {error.reason}")
            )

    # Reading

    async def _healthz(self, request: web.Request) -> web.Response:
        health = self._health
        return web.json_response(
            {"phase": health.phase, "step": health.step, "done": health.done, "note": health.note}
        )

    async def _list(self, request: web.Request) -> web.Response:
        statuses = self._fleet.statuses()
        return web.json_response({"replicas": {n: s.to_json() for n, s in statuses.items()}})

    async def _show(self, request: web.Request) -> web.Response:
        return web.json_response(self._fleet.status(request.match_info["name"]).to_json())

    # Orders

    async def _restart(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        version = (await _order(request)).get("version")
        if version is not None and not isinstance(version, str):
            raise Refused(400, "the version is not a string")

        async def act() -> Answer:
            await self._fleet.restart(name, version)
            return self._fleet.status(name).to_json()

        what = f"restart {name}" + (f" as {version}" if version else "")
        return await self._carry_out(request, what, act)

    async def _add(self, request: web.Request) -> web.Response:
        component = request.match_info["component"]

        async def act() -> Answer:
            return self._fleet.status(await self._fleet.add(component)).to_json()

        return await self._carry_out(request, f"add a replica of {component}", act)

    async def _remove(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]

        async def act() -> Answer:
            await self._fleet.remove(name)
            return {"removed": name}

        return await self._carry_out(request, f"remove {name}", act)

    async def _carry_out(
        self, request: web.Request, what: str, act: Callable[[], Awaitable[Answer]]
    ) -> web.Response:
        token = (await _order(request)).get("token")
        if not isinstance(token, str) or not 0 < len(token) <= _LONGEST_TOKEN:
            mend = f"a string of 1 to {_LONGEST_TOKEN} characters that names this order"
            raise Refused(400, "the order has no token", mend=mend)
        return web.json_response(await self._orders.once(token, what, act))

    async def _fault(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        order = await _order(request)
        if "fault" not in order:
            raise Refused(400, "the order has no key 'fault'", mend="a name, or null to behave")
        await self._fleet.fault(name, order)
        return web.json_response(self._fleet.status(name).to_json())

    async def _shutdown(self, request: web.Request) -> web.Response:
        self._shut_down()
        return web.json_response({"phase": "stopping"})


async def _order(request: web.Request) -> dict[str, object]:
    try:
        body = await json_body(request)
    except LabError as error:
        raise Refused(400, error.message, mend=error.mend) from error
    if not isinstance(body, dict):
        raise Refused(400, "the body is not a JSON object")
    return body
