"""The lab's own supervisor keeps the contract that ProcessRuntime relies on."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port

from vagus.adapters import http
from vagus.adapters.process.supervisor import ProcessRuntime
from vagus.clock import SystemClock
from vagus.config import ProcessRuntime as ProcessSettings
from vagus.errors import ActionError, LabError
from vagus.lab.api import Api, Health
from vagus.lab.fleet import Blueprint, Fleet
from vagus.lab.hop import serving
from vagus.lab.processes import Command, Processes
from vagus.model import Subject

CHAT_1 = Subject("chat", "chat-1")
SECRET = "open-sesame"


async def at_once(port: int) -> bool:
    return True


def idle(name: str, port: int, version: str) -> Command:
    return Command((sys.executable, "-c", "import time; time.sleep(600)"))


def published(version: str) -> None:
    if version not in ("v1", "v2"):
        raise LabError("it was never made")


@pytest.fixture
async def fleet_and_runtime(tmp_path: Path) -> AsyncIterator[tuple[Fleet, ProcessRuntime]]:
    (tmp_path / "supervisor.token").write_text(SECRET)
    port, clock = unused_port(), SystemClock()
    async with AsyncExitStack() as stack:
        processes = Processes(clock)
        stack.push_async_callback(processes.end_all)
        session = await stack.enter_async_context(http.open_session())
        blueprint = Blueprint(
            idle, at_once, port=lambda number: 32300 + number, version="v1", require=published
        )
        fleet = Fleet({"chat": blueprint}, processes, session, tmp_path / "logs", clock)
        stack.push_async_callback(fleet.close)
        api = Api(fleet, Health(), SECRET, lambda: None)
        await stack.enter_async_context(serving(api.app(), port))
        fleet.start("chat", "chat-1", 32301)
        settings = ProcessSettings(
            supervisor=f"http://127.0.0.1:{port}", token_file=tmp_path / "supervisor.token"
        )
        yield fleet, ProcessRuntime(settings, session)


async def test_restart_add_and_remove(fleet_and_runtime: tuple[Fleet, ProcessRuntime]) -> None:
    fleet, runtime = fleet_and_runtime
    for token in ("t1", "t1", "t2"):
        await runtime.restart(CHAT_1, token)
    assert fleet.status("chat-1").generation == 3

    added = await runtime.add("chat", "t3")
    assert await runtime.add("chat", "t3") == added
    assert await runtime.replicas("chat") == {
        "chat-1": "http://127.0.0.1:32301",
        added.replica: added.address,
    }

    await runtime.remove(CHAT_1, "t4")
    await runtime.remove(CHAT_1, "t4")
    assert await runtime.replicas("chat") == {added.replica: added.address}
    with pytest.raises(ActionError, match=r"no replica 'chat-1'.*404"):
        await runtime.restart(CHAT_1, "t5")
    with pytest.raises(ActionError, match="409"):
        await runtime.restart(Subject("chat", added.replica), "t3")


async def test_a_version_is_deployed_and_told(
    fleet_and_runtime: tuple[Fleet, ProcessRuntime],
) -> None:
    fleet, runtime = fleet_and_runtime
    assert await runtime.version(CHAT_1) == "v1"
    await runtime.deploy(CHAT_1, "v2", "t1")
    assert await runtime.version(CHAT_1) == "v2"
    await runtime.restart(CHAT_1, "t2")
    assert await runtime.version(CHAT_1) == "v2"
    assert fleet.status("chat-1").generation == 3


async def test_a_version_that_was_never_made_is_refused_and_nothing_is_ended(
    fleet_and_runtime: tuple[Fleet, ProcessRuntime],
) -> None:
    fleet, runtime = fleet_and_runtime
    with pytest.raises(ActionError, match="never made"):
        await runtime.deploy(CHAT_1, "v9", "t1")
    assert (fleet.status("chat-1").generation, await runtime.version(CHAT_1)) == (1, "v1")
