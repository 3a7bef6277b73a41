"""The real lab: it comes up healthy, does what it is told, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import psutil
import pytest

from vagus import config
from vagus.errors import LabError
from vagus.lab import rundir
from vagus.lab.ports import check_ports, port_free
from vagus.lab.settings import LabSettings, url
from vagus.lab.stack import Lab

pytestmark = pytest.mark.e2e

SETTINGS = LabSettings(offset=10_000)


def descendants(pid: int) -> list[psutil.Process]:
    """The supervisor and all that it started, Postgres's own children included."""
    supervisor = psutil.Process(pid)
    return [supervisor, *supervisor.children(recursive=True)]


def assert_nothing_left(processes: list[psutil.Process]) -> None:
    left = psutil.wait_procs(processes, timeout=30)[1]
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []
    check_ports(SETTINGS)


async def supervisor_pid(lab: Lab) -> int:
    pid = (await lab.status()).pid
    assert pid is not None
    return pid


@asynccontextmanager
async def lab_up() -> AsyncIterator[Lab]:
    async with Lab(SETTINGS) as lab:
        yield lab


async def until_serving(lab: Lab, name: str) -> None:
    async with asyncio.timeout(60):
        while (await lab.client.replica(name)).state != "running":  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def asked(question: str) -> str:
    """What the pipeline answers through the gateway, as it comes over the wire."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(url(SETTINGS.gateway_port) + "/ask", json={"question": question}) as response,
    ):
        assert response.status == 200, await response.text()
        assert response.content_type == "text/event-stream"
        return await response.text()


async def test_it_answers_does_what_it_is_told_and_leaves_nothing() -> None:
    steps: list[tuple[str, float]] = []
    lab = Lab(SETTINGS)
    await lab.up(lambda step, done, note="": steps.append((step, done)))
    try:
        processes = descendants(await supervisor_pid(lab))
        started = [done for step, done in steps if step == "start"]
        assert started == sorted(started)

        declared = config.load(SETTINGS.config_file)
        assert set(declared.stack) == {"chat", "embed", "vectors", "rag"}
        assert stat.S_IMODE(SETTINGS.token_file.stat().st_mode) == 0o600

        replicas = await lab.client.replicas()
        assert {r.state for r in replicas.values()} == {"running"}
        assert set(replicas) == {
            *("gateway", "vectors-1", "rag-1", "embed-1", "embed-2"),
            *("chat-1", "chat-2", "chat-3"),
        }
        assert "event: done" in await asked("What does the assert statement do?")

        await lab.client.fault("chat-1", "kill")
        assert "event: done" in await asked("What is a lambda?")
        assert (await lab.client.restart("chat-1", "heal")).generation == 2
        await until_serving(lab, "chat-1")

        added = await lab.client.add("chat", "more")
        assert added.name == "chat-4"
        await until_serving(lab, "chat-4")
        processes += descendants(added.pid)
        await lab.client.remove("chat-4", "less")
        assert port_free(SETTINGS.port("chat", 4))
    finally:
        await lab.down()
    assert_nothing_left(processes)
    assert (await lab.status()).phase == "down"
    assert not SETTINGS.token_file.exists()


async def test_kill_9_of_the_supervisor_leaves_nothing() -> None:
    async with lab_up() as lab:
        processes = descendants(await supervisor_pid(lab))
        assert len(processes) > 12
        os.kill(processes[0].pid, signal.SIGKILL)
        assert_nothing_left(processes)
        assert (await lab.status()).phase == "down"


async def test_kill_9_in_the_middle_of_a_start_leaves_nothing() -> None:
    lab = Lab(SETTINGS)
    starting = asyncio.create_task(lab.up())
    processes: dict[int, psutil.Process] = {}
    try:
        async with asyncio.timeout(60):
            # In the middle: the supervisor, its watchdog and some replicas run, others don't yet.
            while len(processes) < 6:
                await asyncio.sleep(0.02)
                if (pid := rundir.read_note(SETTINGS).pid) is not None:
                    processes |= {p.pid: p for p in descendants(pid)}
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(LabError):
            await starting
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await lab.down()
    assert_nothing_left(list(processes.values()))


async def test_a_lab_ends_with_the_process_that_brought_it_up() -> None:
    program = (
        "import asyncio\n"
        "from vagus.lab.settings import LabSettings\n"
        "from vagus.lab.stack import Lab\n"
        "async def main():\n"
        "    lab = Lab(LabSettings(offset=10_000))\n"
        "    await lab.up()\n"
        "    print('up', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert owner.stdout is not None
        assert await owner.stdout.readline() == b"up\n"
        lab = Lab(SETTINGS)
        processes = descendants(await supervisor_pid(lab))
        await lab.client.close()
    finally:
        owner.kill()
        await owner.wait()
    assert_nothing_left(processes)


async def test_a_kept_lab_is_ended_by_anybody() -> None:
    keeper = Lab(SETTINGS, keep=True)
    await keeper.up()
    processes = descendants(await supervisor_pid(keeper))
    await keeper.client.close()
    with pytest.raises(LabError, match=r"port \d+ \(of \w+\) is in use"):
        await Lab(SETTINGS).up()
    await Lab(SETTINGS).down()
    await asyncio.to_thread(assert_nothing_left, processes)
