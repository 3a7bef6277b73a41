"""What every Gateway promises, kept by each over a real connection.

Envoy's part is played by a small HTTP server that watches the folder as Envoy does and answers like
its admin, so that it can misbehave on demand; the real Envoy is met in the end-to-end tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from vagus.adapters.envoy import endpoints
from vagus.adapters.envoy.gateway import EnvoyGateway
from vagus.clock import SystemClock
from vagus.config import EnvoySettings, Kind
from vagus.errors import ActionError, NotAcknowledged, TargetUnreachable
from vagus.model import Endpoint, Subject, Traffic
from vagus.ports import Gateway
from vagus.topology import ComponentNode, Topology

A = Endpoint("chat-1", "http://127.0.0.1:32101")
B = Endpoint("chat-2", "http://127.0.0.1:32102")
B_OUT = Endpoint("chat-2", "http://127.0.0.1:32102", "unhealthy")
E = Endpoint("embed-1", "http://127.0.0.1:32151")
STACK = Topology(
    {
        "chat": ComponentNode(
            "chat", Kind.MODEL_SERVER, "generic", {e.replica: e.address for e in (A, B)}
        ),
        "embed": ComponentNode("embed", Kind.EMBEDDING_SERVER, "generic", {"embed-1": E.address}),
    }
)


class Played:
    """An Envoy of a kind: takes a renamed file at the next look, and says so in its stats."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clusters = {"chat", "embed"}
        self.follows = True
        self.rejects = False
        self.body: str | None = None  # answers this instead of its stats
        self.in_force: dict[str, str] = {}
        self.documents: dict[str, object] = {}
        self.taken: list[str] = []  # clusters, in the order in which documents were taken
        self.rejected = {"chat": 3, "embed": 0}  # from before
        self._inodes: dict[str, int] = {}
        self.site: web.TCPSite

    def look(self) -> None:
        for name in self.clusters:
            path = self.folder / f"eds_{name}.json"
            if not path.exists() or self._inodes.get(name) == path.stat().st_ino:
                continue
            self._inodes[name] = path.stat().st_ino
            document = json.loads(path.read_text())
            if self.rejects:
                self.rejected[name] += 1
            elif self.follows:
                self.in_force[name] = document["version_info"]
                self.documents[name] = document
                self.taken.append(name)

    async def stats(self, request: web.Request) -> web.Response:
        if self.body is not None:
            return web.Response(text=self.body, content_type="text/html")
        self.look()
        names: dict[str, object] = {
            f"cluster.{c}.version_text": v for c, v in self.in_force.items()
        }
        names |= {f"cluster.{c}.update_rejected": n for c, n in self.rejected.items()}
        names |= {f"cluster.{c}.update_failure": 0 for c in self.rejected}
        pattern = re.compile(request.query["filter"])
        found = [{"name": n, "value": v} for n, v in names.items() if pattern.search(n)]
        return web.json_response({"stats": found})

    async def hosts(self, request: web.Request) -> web.Response:
        def host(port: int, **health: bool) -> dict[str, object]:
            address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
            return {"address": address, "health_status": health, "stats": []}

        return web.json_response(
            {
                "cluster_statuses": [
                    {
                        "name": "chat",
                        "host_statuses": [
                            host(32101, failed_active_health_check=True),
                            host(32102),
                            host(32199, failed_outlier_check=True),  # nobody of ours
                            {"address": {"pipe": {"path": "x"}}},
                        ],
                    },
                    {"name": "embed", "host_statuses": [host(32151, failed_outlier_check=True)]},
                    {"name": "other", "host_statuses": [host(32102, failed_outlier_check=True)]},
                    {"name": "bare"},
                ]
            }
        )


@pytest.fixture
async def envoy(tmp_path: Path) -> AsyncIterator[Played]:
    played = Played(tmp_path)
    app = web.Application()
    app.add_routes([web.get("/stats", played.stats), web.get("/clusters", played.hosts)])
    runner = web.AppRunner(app)
    await runner.setup()
    played.site = web.TCPSite(runner, "127.0.0.1", 0)
    await played.site.start()
    yield played
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def gateway_over(
    envoy: Played,
    session: aiohttp.ClientSession,
    *,
    timeout: float = 5.0,
    folder: Path | None = None,
) -> EnvoyGateway:
    settings = EnvoySettings(admin=envoy.site.name, dir=folder or envoy.folder)
    return EnvoyGateway(settings, session, SystemClock(), lambda: STACK, timeout=timeout)


@pytest.fixture
def gateway(envoy: Played, session: aiohttp.ClientSession) -> EnvoyGateway:
    return gateway_over(envoy, session)


def read(envoy: Played, component: str = "chat") -> str:
    return (envoy.folder / f"eds_{component}.json").read_text()


async def test_once_it_returns_the_data_plane_has_what_was_asked(
    gateway: Gateway, envoy: Played
) -> None:
    await gateway.apply({"chat": (A, B_OUT), "embed": (E,)}, "op-1")
    assert envoy.in_force == {"chat": "op-1", "embed": "op-1"}
    assert envoy.documents["chat"] == json.loads(endpoints.render("chat", (A, B_OUT), "op-1"))


async def test_only_what_changes_is_written(gateway: Gateway, envoy: Played) -> None:
    await gateway.apply({"chat": (A, B), "embed": (E,)}, "op-1")
    await gateway.apply({"chat": (A, B_OUT), "embed": (E,)}, "op-2")
    await gateway.apply({"chat": (A, B_OUT), "embed": (E,)}, "op-3")
    assert sorted(envoy.taken) == ["chat", "chat", "embed"]
    assert envoy.in_force == {"chat": "op-2", "embed": "op-1"}


async def test_an_old_acknowledgement_is_not_taken_for_the_new_one(
    gateway: Gateway, envoy: Played
) -> None:
    await gateway.apply({"chat": (A, B)}, "op")
    await gateway.apply({"chat": (A, B_OUT)}, "op")
    assert envoy.documents["chat"] == json.loads(read(envoy))
    assert envoy.in_force["chat"].startswith("op")
    assert envoy.in_force["chat"] != "op"


async def test_one_at_a_time_and_the_last_one_lasts(gateway: Gateway, envoy: Played) -> None:
    wanted: list[Traffic] = [{"chat": (A, B)}, {"chat": (A, B_OUT)}, {"chat": (A,)}]
    await asyncio.gather(*(gateway.apply(t, f"op-{n}") for n, t in enumerate(wanted)))
    assert envoy.in_force["chat"] == "op-2"
    assert len(envoy.taken) == 3


async def test_not_acknowledged_says_so_and_the_same_again_mends(
    envoy: Played, session: aiohttp.ClientSession
) -> None:
    envoy.in_force["chat"] = "older"
    envoy.follows = False
    with pytest.raises(NotAcknowledged, match="still follows 'older' and not 'op-1'"):
        await gateway_over(envoy, session, timeout=0.05).apply({"chat": (A,)}, "op-1")
    envoy.follows = True
    await gateway_over(envoy, session).apply({"chat": (A,)}, "op-1")
    assert envoy.documents["chat"] == json.loads(read(envoy))


async def test_a_rejected_document_is_an_error_that_says_so_and_is_taken_back(
    gateway: Gateway, envoy: Played
) -> None:
    await gateway.apply({"chat": (A, B)}, "op-1")
    good = read(envoy)
    envoy.rejects = True
    with pytest.raises(ActionError, match="rejected the endpoints of chat") as raised:
        await gateway.apply({"chat": (A, B_OUT)}, "op-2")
    assert not isinstance(raised.value, NotAcknowledged)
    assert envoy.in_force["chat"] == "op-1"
    assert read(envoy) == good


async def test_a_cluster_that_is_not_there_is_named(
    envoy: Played, session: aiohttp.ClientSession
) -> None:
    gateway = gateway_over(envoy, session, timeout=0.05)
    with pytest.raises(NotAcknowledged, match="no cluster 'rag'"):
        await gateway.apply({"rag": (A,)}, "op-1")


async def test_with_the_admin_away_it_is_written_and_not_acknowledged(
    envoy: Played, session: aiohttp.ClientSession
) -> None:
    gateway = gateway_over(envoy, session, timeout=0.05)
    await envoy.site.stop()
    with pytest.raises(NotAcknowledged, match="op-1 is written, but Envoy's admin does not answer"):
        await gateway.apply({"chat": (A,)}, "op-1")
    assert endpoints.version_of(read(envoy)) == "op-1"
    with pytest.raises(TargetUnreachable, match="does not answer"):
        await gateway.ejected()


@pytest.mark.parametrize("body", ["<html>", "[]", '{"stats": 1}', "x" * 1000])
async def test_an_admin_that_answers_something_else_is_not_an_acknowledgement(
    envoy: Played, session: aiohttp.ClientSession, body: str
) -> None:
    envoy.body = body
    with pytest.raises(NotAcknowledged, match="is written, but answers"):
        await gateway_over(envoy, session, timeout=0.05).apply({"chat": (A,)}, "op-1")


async def test_the_data_planes_own_ejections_are_told_by_name(
    gateway: Gateway, envoy: Played
) -> None:
    assert await gateway.ejected() == {Subject("chat", "chat-1"), Subject("embed", "embed-1")}


async def test_a_component_is_routed_if_there_is_a_file_for_it(
    gateway: EnvoyGateway, envoy: Played
) -> None:
    assert not gateway.routes("chat")
    await gateway.apply({"chat": (A,)}, "op-1")
    assert gateway.routes("chat")


async def refuses(action: Callable[[], Awaitable[None]], says: str) -> None:
    with pytest.raises(ActionError) as raised:
        await action()
    assert re.search(says, str(raised.value)), str(raised.value)
    assert raised.value.where


async def test_a_folder_that_is_not_there(envoy: Played, session: aiohttp.ClientSession) -> None:
    gateway = gateway_over(envoy, session, folder=envoy.folder / "nowhere")
    await refuses(
        lambda: gateway.apply({"chat": (A,)}, "op-1"), r"No such file.*correct gateway\.envoy\.dir"
    )


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root may write everywhere, so for this test it is somebody else."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


@pytest.mark.usefixtures("nobody")
async def test_a_folder_without_permission(session: aiohttp.ClientSession) -> None:
    settings = EnvoySettings(admin="http://127.0.0.1:32098", dir=Path("/"))
    gateway = EnvoyGateway(settings, session, SystemClock(), lambda: STACK)
    await refuses(
        lambda: gateway.apply({"chat": (A,)}, "op-1"), "denied.*let the user that runs vagus write"
    )


async def test_a_file_that_can_not_be_replaced_leaves_nothing_behind(
    gateway: EnvoyGateway, envoy: Played
) -> None:
    (envoy.folder / "eds_chat.json").mkdir()
    await refuses(lambda: gateway.apply({"chat": (A,)}, "op-1"), "can't be read")
    assert [p.name for p in envoy.folder.iterdir()] == ["eds_chat.json"]


@pytest.mark.parametrize("address", ["http://gpu-1:8000", "http://localhost:1", "http://1.2.3.4:x"])
async def test_an_address_that_envoy_can_not_take_is_named_before_anything_is_written(
    gateway: Gateway, envoy: Played, address: str
) -> None:
    bad = Endpoint("chat-2", address)
    await refuses(
        lambda: gateway.apply({"embed": (E,), "chat": (A, bad)}, "op-1"), r"stack\.chat.*chat-2"
    )
    assert list(envoy.folder.iterdir()) == []


async def test_what_is_written_can_be_read_by_another_user(gateway: Gateway, envoy: Played) -> None:
    await gateway.apply({"chat": (A,)}, "op-1")
    assert (envoy.folder / "eds_chat.json").stat().st_mode & 0o777 == 0o644
