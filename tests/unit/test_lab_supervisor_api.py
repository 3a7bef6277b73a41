"""Orders to the supervisor, over HTTP, against small real processes that stand in for replicas."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp.test_utils import unused_port

from vagus.clock import SystemClock
from vagus.errors import LabError
from vagus.lab.api import Api, Health
from vagus.lab.client import SupervisorClient
from vagus.lab.fleet import Blueprint, Fleet, http_ready
from vagus.lab.hop import serving
from vagus.lab.processes import Command, Processes

STAND_IN = """
import http.server, json, subprocess, sys

class Replica(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200, {})

    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = order["fault"] in ("slow", None)
        self.answer(200 if known else 400, order if known else {"error": "unknown", "mend": "no"})

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Replica).serve_forever()
"""
SECRET = "open-sesame"


@dataclass
class Running:
    client: SupervisorClient
    fleet: Fleet
    base: str
    http: aiohttp.ClientSession
    stopped: asyncio.Event

    async def post(
        self, path: str, body: object, secret: str | None = SECRET
    ) -> tuple[int, dict[str, object]]:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        async with self.http.post(self.base + path, json=body, headers=headers) as response:
            return response.status, await response.json()


@asynccontextmanager
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A supervisor with the replica ``chat-1`` up, and a component ``gateway`` that has no hop."""
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    token_file = tmp_path / "token"
    token_file.write_text(SECRET)
    ports = {n: unused_port() for n in range(1, 4)}
    clock, stopped = SystemClock(), asyncio.Event()

    def command(name: str, port: int, version: str) -> Command:
        return Command((sys.executable, str(script), str(port)))

    processes = Processes(clock)
    base = f"http://127.0.0.1:{(own := unused_port())}"
    async with aiohttp.ClientSession() as http, SupervisorClient(base, token_file) as client:
        ready = http_ready(http, "/health")
        blueprints = {
            "chat": Blueprint(command, ready, port=ports.__getitem__, hop=True),
            "gateway": Blueprint(command, ready),
        }
        fleet = Fleet(blueprints, processes, http, tmp_path / "logs", clock)
        api = Api(fleet, Health(), SECRET, stopped.set)
        try:
            async with serving(api.app(), own):
                fleet.start("chat", "chat-1", ports[1])
                await fleet.until_ready("chat-1", 30)
                yield Running(client, fleet, base, http, stopped)
        finally:
            await fleet.close()
            await processes.end_all()


async def test_a_replica_is_described(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        chat = (await lab.client.replicas())["chat-1"]
        assert (chat.state, chat.generation, chat.fault, chat.exit_code) == (
            *("running", 1, None),
            None,
        )
        assert psutil.pid_exists(chat.pid)
        assert chat.rss_mb > 1
        assert await lab.client.replica("chat-1") == chat


async def test_a_restart_is_done_once_for_a_token(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        before = await lab.client.replica("chat-1")
        answers = await asyncio.gather(*(lab.client.restart("chat-1", "one") for _ in range(3)))
        again = await lab.client.restart("chat-1", "one")
        assert [a.generation for a in (*answers, again)] == [2] * 4
        assert {a.pid for a in answers} == {again.pid}
        assert again.pid != before.pid
        assert (await lab.client.restart("chat-1", "two")).generation == 3


async def test_a_restart_leaves_nothing_of_the_old_group(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        old = psutil.Process((await lab.client.replica("chat-1")).pid)
        group = [old, *old.children(recursive=True)]
        assert len(group) == 2
        await lab.client.restart("chat-1", "one")
        assert psutil.wait_procs(group, timeout=10)[1] == []


async def test_a_caller_who_hangs_up_does_not_halve_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.client.fault("chat-1", "stop")
        impatient = asyncio.create_task(lab.client.restart("chat-1", "one"))
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        assert (await lab.client.restart("chat-1", "one")).generation == 2
        await lab.fleet.until_ready("chat-1", 30)


async def test_a_token_stands_for_one_order(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.client.restart("chat-1", "one")
        status, answer = await lab.post("/components/chat/replicas", {"token": "one"})
        assert status == 409
        assert "restart chat-1" in str(answer["error"])
        assert list(await lab.client.replicas()) == ["chat-1"]


async def test_a_replica_is_added_and_removed(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        added = await lab.client.add("chat", "add")
        assert (added.name, added.generation) == ("chat-2", 1)
        assert (await lab.client.add("chat", "add")).pid == added.pid
        await lab.fleet.until_ready("chat-2", 30)
        await lab.client.remove("chat-2", "remove")
        await lab.client.remove("chat-2", "remove")
        assert not psutil.pid_exists(added.pid)
        assert list(await lab.client.replicas()) == ["chat-1"]


async def test_an_unknown_replica_is_404(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        for path in ("/replicas/chat-9/restart", "/replicas/chat-9/fault"):
            status, answer = await lab.post(path, {"token": "t", "fault": "kill"})
            assert status == 404
            assert "chat-1" in str(answer["mend"])


async def test_a_failed_order_leaves_its_token_free(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        with pytest.raises(LabError, match="no replica 'chat-2'"):
            await lab.client.restart("chat-2", "t")
        assert (await lab.client.restart("chat-1", "t")).generation == 2


async def test_signals_show_in_the_state(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        assert (await lab.client.fault("chat-1", "stop")).state == "stopped"
        assert (await lab.client.fault("chat-1", "cont")).state == "running"
        killed = await lab.client.fault("chat-1", "kill")
        assert (killed.state, killed.exit_code) == ("exited", -9)
        assert (await lab.client.replica("chat-1")).state == "exited", "it restarts nothing itself"


@pytest.mark.parametrize("fault", ["kill", "stop", "slow"])
async def test_a_restart_ends_any_fault(tmp_path: Path, fault: str) -> None:
    async with running(tmp_path) as lab:
        await lab.client.fault("chat-1", fault)
        await lab.client.restart("chat-1", "one")
        await lab.fleet.until_ready("chat-1", 30)
        chat = await lab.client.replica("chat-1")
        assert (chat.state, chat.fault, chat.generation) == ("running", None, 2)


async def test_a_hops_fault_is_remembered_until_it_behaves(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        assert (await lab.client.fault("chat-1", "slow", factor=3)).fault == "slow"
        assert (await lab.client.fault("chat-1", None)).fault is None


@pytest.mark.parametrize(
    ("first", "order", "status"),
    [
        (None, {"fault": "explode"}, 400),
        (None, {"fault": "kill", "factor": 2}, 400),
        (None, {"factor": 2}, 400),
        (None, ["kill"], 400),
        ("stop", {"fault": "slow"}, 409),
        ("kill", {"fault": "slow"}, 409),
        ("kill", {"fault": "stop"}, 409),
    ],
)
async def test_a_fault_that_can_not_be_is_refused(
    tmp_path: Path, first: str | None, order: object, status: int
) -> None:
    async with running(tmp_path) as lab:
        if first:
            await lab.client.fault("chat-1", first)
        code, answer = await lab.post("/replicas/chat-1/fault", order)
        assert (code, set(answer)) == (status, {"error", "mend"})


async def test_what_has_no_hop_takes_signals_only(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        lab.fleet.start("gateway", "gateway", unused_port())
        await lab.fleet.until_ready("gateway", 30)
        with pytest.raises(LabError, match="no hop"):
            await lab.client.fault("gateway", "slow")
        assert (await lab.client.fault("gateway", "stop")).state == "stopped"


@pytest.mark.parametrize("component", ["gateway", "nonsense"])
async def test_not_every_component_grows(tmp_path: Path, component: str) -> None:
    async with running(tmp_path) as lab:
        with pytest.raises(LabError):
            await lab.client.add(component, "t")


@pytest.mark.parametrize("secret", [None, "wrong", "ü"])
async def test_orders_need_the_secret_and_reading_does_not(
    tmp_path: Path, secret: str | None
) -> None:
    async with running(tmp_path) as lab:
        for path in ("/replicas/chat-1/restart", "/replicas/chat-1/fault", "/shutdown"):
            status, _ = await lab.post(path, {"token": "t", "fault": "kill"}, secret)
            assert status == 401
        assert not lab.stopped.is_set()
        chat = await lab.client.replica("chat-1")
        assert (chat.state, chat.generation) == ("running", 1)


@pytest.mark.parametrize("body", [{}, {"token": ""}, {"token": 7}, {"token": "x" * 201}, "t"])
async def test_an_order_without_a_proper_token_is_refused(tmp_path: Path, body: object) -> None:
    async with running(tmp_path) as lab:
        status, answer = await lab.post("/replicas/chat-1/restart", body)
        assert status == 400
        assert answer["error"]
        assert (await lab.client.replica("chat-1")).generation == 1


async def test_an_unknown_path_is_answered_in_json(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        status, answer = await lab.post("/nowhere", {})
        assert (status, answer["error"]) == (404, "POST /nowhere: Not Found")


async def test_a_replica_that_ends_early_says_why(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        port = int(lab.base.rpartition(":")[2])
        lab.fleet.start("gateway", "gateway", port)
        with pytest.raises(LabError, match="Address already in use"):
            await lab.fleet.until_ready("gateway", 30)


async def test_shutdown_is_an_order_like_others(tmp_path: Path) -> None:
    async with running(tmp_path) as lab:
        await lab.client.shutdown()
        assert lab.stopped.is_set()


async def test_a_supervisor_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    async with SupervisorClient(f"http://127.0.0.1:{unused_port()}", tmp_path / "t") as client:
        with pytest.raises(LabError, match="does not answer"):
            await client.replicas()
        with pytest.raises(LabError, match="token can't be read"):
            await client.shutdown()
