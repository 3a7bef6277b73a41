"""A vector store alone with a Vagus that watches it, and what that tells.

Vagus runs as a process of its own, as it would beside anybody's store, and is judged by the event
lines that it prints. It has no other source of evidence, so that each piece of evidence is one
search.
"""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from vagus.clock import SystemClock
from vagus.demo.feed import Event, VagusProcess
from vagus.model import Subject

VARIABLE = "VAGUS_TEST_STORE"
COMPONENT = "vectors"
ACTIONS = ("rebuild-index", "vacuum")
OVER = frozenset({"resolved", "escalated", "subsided"})
EVIDENCE = "vagus_evidence_total"
LOOK = 0.1  # s


@dataclass
class Watched:
    """A running Vagus, and what it has told since :meth:`mark`."""

    vagus: VagusProcess
    subject: Subject
    port: int
    began: float = 0.0
    first: int = 0
    searched: int = 0

    def mark(self) -> None:
        """What is asked for from now on is what happens from now on."""
        self.began = SystemClock().now()
        self.first = len(self.vagus.events)
        self.searched = self.searches()

    def searches(self) -> int:
        """How many were made since it started."""
        address = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(address, timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(int(float(x.split()[-1])) for x in lines if x.startswith(EVIDENCE))

    def events(self) -> list[Event]:
        return self.vagus.events[self.first :]

    async def until(self, wanted: Callable[[Event], bool], within: float) -> Event:
        """The first event that is ``wanted``; raises TimeoutError with all that there was."""
        try:
            return await self.vagus.until(wanted, since=self.first, timeout=within)
        except TimeoutError as error:
            told = "\n".join(f"{e.event} {json.dumps(dict(e.facts))[:300]}" for e in self.events())
            raise TimeoutError(f"not within {within:.0f} s; there was:\n{told}") from error

    async def until_over(self, within: float) -> Event:
        """The end of the incident of the collection."""
        return await self.until(
            lambda e: e.event in OVER and e.text("subject") == str(self.subject), within
        )

    async def until_searched(self, count: int, within: float) -> None:
        """So many searches since the mark."""
        deadline = time.monotonic() + within
        while self.searches() - self.searched < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"fewer than {count} searches within {within:.0f} s")
            await SystemClock().sleep(LOOK)


@asynccontextmanager
async def watching(
    folder: Path, dsn: str, collection: str, *, recall: str = "90%", interval: str = "100ms"
) -> AsyncIterator[Watched]:
    """A Vagus in mode auto, licensed by hand to mend the indexes of the store at ``dsn``."""
    grant = {"component": COMPONENT, "owner": "test", "reason": "the store is a test's", "days": 1}
    licences = {"licences": [{"action": action, **grant} for action in ACTIONS]}
    (folder / "licences.yaml").write_text(json.dumps(licences), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stack = {
        COMPONENT: {
            "kind": "vector-store",
            "engine": "pgvector",
            "dsn_env": VARIABLE,
            "collections": [collection],
        }
    }
    written = {
        "stack": stack,
        "policy": {"licences": "licences.yaml", "cooldown": "1s"},
        "healing": {"hold": "1s", "timeout": "30s"},
        "retrieval": {"recall": recall, "interval": interval, "interval_suspect": interval},
        "telemetry": {"interval": "500ms"},
        "api": {"port": port},
        "state": "sqlite:///vagus.db",
    }
    file = folder / "vagus.yaml"
    file.write_text(json.dumps(written), encoding="utf-8")
    vagus = VagusProcess(file, folder / "log", mode="auto", environment={VARIABLE: dsn})
    await vagus.start()
    try:
        await vagus.until(lambda e: e.event == "started", since=0, timeout=120)
        yield Watched(vagus, Subject(COMPONENT, collection), port)
    finally:
        await vagus.stop()
