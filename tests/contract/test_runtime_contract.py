"""What every Runtime promises, against a real HTTP server that can misbehave."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from vagus.adapters import http
from vagus.adapters.process.supervisor import ProcessRuntime
from vagus.config import ProcessRuntime as ProcessSettings
from vagus.errors import ActionError, MalformedData, NotAcknowledged, TargetUnreachable, VagusError
from vagus.model import Endpoint, Subject
from vagus.ports import Runtime

CHAT_1 = Subject("chat", "chat-1")
SECRET = "s3cret-and-long"


class Supervisor:
    """Keeps orders by token. ``answer`` takes the place of its own answers."""

    def __init__(self) -> None:
        self.addresses = {"chat-1": 1, "chat-2": 2, "embed-1": 3}
        self.generation = dict.fromkeys(self.addresses, 1)
        self.orders: dict[str, dict[str, object]] = {}
        self.answer: Callable[[], Awaitable[web.Response]] | None = None
        self.asked: list[str] = []
        self.url = ""

    def row(self, name: str) -> dict[str, object]:
        return {
            "name": name,
            "component": name.partition("-")[0],
            "address": f"http://127.0.0.1:{32200 + self.addresses[name]}",
            "generation": self.generation[name],
        }

    @web.middleware
    async def guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.raw_path}")
        if self.answer is not None:
            return await self.answer()
        allowed = request.headers.get("Authorization") == f"Bearer {SECRET}"
        if request.method != "GET" and not allowed:
            return web.json_response({"error": "who are you?", "mend": "x"}, status=401)
        return await handler(request)

    async def list(self, request: web.Request) -> web.Response:
        return web.json_response({"replicas": {n: self.row(n) for n in self.addresses}})

    async def order(self, request: web.Request) -> web.Response:
        token = (await request.json())["token"]
        if token not in self.orders:
            name = request.match_info["name"]
            if request.path.startswith("/components/"):
                name = f"{name}-{len(self.addresses) + 1}"
                self.addresses[name], self.generation[name] = len(self.addresses) + 1, 1
            if name not in self.addresses:
                error = {"error": f"there is no replica {name!r}", "mend": "there are: chat-1"}
                return web.json_response(error, status=404)
            self.generation[name] += request.path.endswith("/restart")
            self.orders[token] = self.row(name)
            if request.method == "DELETE":
                del self.addresses[name]
        return web.json_response(self.orders[token])


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    app = web.Application(middlewares=[supervisor.guard])
    app.add_routes(
        [
            web.get("/replicas", supervisor.list),
            web.post("/replicas/{name}/restart", supervisor.order),
            web.post("/components/{name}/replicas", supervisor.order),
            web.delete("/replicas/{name}", supervisor.order),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    supervisor.url = site.name
    yield supervisor
    await runner.cleanup()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "supervisor.token"
    path.write_text(SECRET + "\n")
    return path


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with http.open_session() as session:
        yield session


@pytest.fixture
def runtime(
    supervisor: Supervisor, session: aiohttp.ClientSession, token_file: Path
) -> ProcessRuntime:
    settings = ProcessSettings(supervisor=supervisor.url, token_file=token_file)
    return ProcessRuntime(settings, session, order_within=10.0, answer_within=10.0)


def hurried(
    supervisor: Supervisor, session: aiohttp.ClientSession, token_file: Path
) -> ProcessRuntime:
    settings = ProcessSettings(supervisor=supervisor.url, token_file=token_file)
    return ProcessRuntime(settings, session, order_within=0.1, answer_within=0.1)


Order = Callable[[Runtime], Awaitable[object]]
ORDERS: list[Order] = [
    lambda runtime: runtime.restart(CHAT_1, "t1"),
    lambda runtime: runtime.add("chat", "t1"),
    lambda runtime: runtime.remove(CHAT_1, "t1"),
]
every_order = pytest.mark.parametrize("order", ORDERS, ids=["restart", "add", "remove"])


def write(file: Path, content: bytes | None) -> None:
    file.unlink()
    if content is not None:
        file.write_bytes(content)


async def refused(order: Awaitable[object]) -> VagusError:
    with pytest.raises(VagusError) as raised:
        await order
    assert SECRET not in str(raised.value) + repr(raised.value.__cause__)
    return raised.value


async def test_an_order_is_carried_out_once_however_often_it_arrives(
    runtime: Runtime, supervisor: Supervisor
) -> None:
    for token in ("t1", "t1", "t2"):
        await runtime.restart(CHAT_1, token)
    assert supervisor.generation["chat-1"] == 3

    added = [await runtime.add("chat", token) for token in ("t3", "t3")]
    assert added == [Endpoint("chat-4", "http://127.0.0.1:32204")] * 2

    for _ in range(2):
        await runtime.remove(CHAT_1, "t4")
    assert await runtime.replicas("chat") == {
        "chat-2": "http://127.0.0.1:32202",
        "chat-4": "http://127.0.0.1:32204",
    }


async def test_the_replicas_of_one_component_are_told(runtime: Runtime) -> None:
    assert await runtime.replicas("embed") == {"embed-1": "http://127.0.0.1:32203"}
    assert await runtime.replicas("nobody") == {}


async def test_a_name_is_one_part_of_the_path_whatever_it_contains(
    runtime: Runtime, supervisor: Supervisor
) -> None:
    error = await refused(runtime.restart(Subject("chat", "../components/x?y"), "t"))
    assert isinstance(error, ActionError)
    assert supervisor.asked == ["POST /replicas/..%2Fcomponents%2Fx%3Fy/restart"]


async def test_what_the_supervisor_refuses_is_said_with_its_mend(runtime: Runtime) -> None:
    error = await refused(runtime.restart(Subject("chat", "chat-9"), "t"))
    assert type(error) is ActionError
    assert "there is no replica 'chat-9' (HTTP 404)" in error.message
    assert error.mend == "there are: chat-1"
    assert error.where.endswith("/replicas/chat-9/restart")


@every_order
async def test_a_wrong_token_names_the_setting_and_never_itself(
    runtime: Runtime, token_file: Path, order: Order
) -> None:
    write(token_file, b"another")
    error = await refused(order(runtime))
    assert type(error) is ActionError
    assert "token_file" in error.mend
    write(token_file, SECRET.encode())  # it is read each time
    await order(runtime)


@every_order
@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "can't be read: No such file"), (b"", "no token"), (b"\xff", "not a token")],
)
async def test_a_token_file_that_is_none_is_refused_before_anybody_is_asked(
    runtime: Runtime,
    supervisor: Supervisor,
    token_file: Path,
    order: Order,
    content: bytes | None,
    says: str,
) -> None:
    write(token_file, content)
    error = await refused(order(runtime))
    assert type(error) is ActionError
    assert says in error.message
    assert error.where == str(token_file)
    assert supervisor.asked == []


@every_order
async def test_nobody_there_is_unreachable(
    supervisor: Supervisor, session: aiohttp.ClientSession, token_file: Path, order: Order
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        supervisor.url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    runtime = hurried(supervisor, session, token_file)
    for asked in (order, lambda runtime: runtime.replicas("chat")):
        error = await refused(asked(runtime))
        assert isinstance(error, TargetUnreachable)
        assert re.search("does not answer.*start the supervisor", str(error))


@every_order
async def test_an_order_without_an_answer_may_have_been_carried_out(
    supervisor: Supervisor, session: aiohttp.ClientSession, token_file: Path, order: Order
) -> None:
    async def silence() -> web.Response:
        await asyncio.sleep(10.0)
        return web.Response()

    supervisor.answer = silence
    runtime = hurried(supervisor, session, token_file)
    error = await refused(order(runtime))
    assert isinstance(error, NotAcknowledged)
    assert "whether it was carried out is unknown" in error.message
    assert isinstance(await refused(runtime.replicas("chat")), TargetUnreachable)


@every_order
async def test_an_order_whose_connection_breaks_may_have_been_carried_out(
    session: aiohttp.ClientSession, token_file: Path, order: Order
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        settings = ProcessSettings(supervisor=f"http://127.0.0.1:{port}", token_file=token_file)
        error = await refused(order(ProcessRuntime(settings, session)))
    assert isinstance(error, NotAcknowledged)


@pytest.mark.parametrize(
    ("status", "kind"), [(409, ActionError), (500, ActionError), (302, ActionError)]
)
@every_order
async def test_refusals_in_other_words(
    runtime: Runtime, supervisor: Supervisor, order: Order, status: int, kind: type[VagusError]
) -> None:
    async def answer() -> web.Response:
        headers = {"Location": supervisor.url + "/elsewhere"}
        return web.Response(text="<html>" * 1000, status=status, headers=headers)

    supervisor.answer = answer
    error = await refused(order(runtime))
    assert type(error) is kind
    assert f"HTTP {status}" in error.message
    assert len(str(error)) < 500
    assert len(supervisor.asked) == 1  # a redirect would carry the token elsewhere


@pytest.mark.parametrize("body", ["<html>", "[]", '{"replicas": 3}', '{"replicas": {"a": {}}}'])
async def test_an_answer_of_somebody_else_is_malformed(
    runtime: Runtime, supervisor: Supervisor, body: str
) -> None:
    async def answer() -> web.Response:
        return web.Response(text=body)

    supervisor.answer = answer
    assert isinstance(await refused(runtime.add("chat", "t")), MalformedData)
    if body != '{"replicas": {"a": {}}}':
        assert isinstance(await refused(runtime.replicas("chat")), MalformedData)
