"""What it takes to notice that a store's searches went wrong while nothing failed, and to mend it.

The lab's Postgres holds its 300 passages and 20,000 perturbations of them (384 dimensions). Vagus
watches it as a process of its own, ten searches a second at most; beside it a caller searches twice
a second as a pipeline does. Each fault is inflicted while Vagus is held still, for so long as it
takes to measure the harm, and then found, treated and verified by Vagus alone; recall is measured
from here, with queries of our own: at 10 rows, against an exact search, on the documents that the
fault concerns. *Searches* are those of Vagus from the fault until it is found. The peer is a
monitor of errors and latency: *failed* and *slow* (over 1 s) are what it had to go by, from the
fault until it was healed.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg

from benchmarks.report import Options, Result, Row
from benchmarks.stores import COMPONENT, Watched, watching
from vagus.adapters.postgres.search import PgvectorProbe
from vagus.clock import SystemClock
from vagus.lab import corpus, damage, vectors
from vagus.lab.retrieval import PassageStore, RetrievalFailed, connecting_to
from vagus.lab.settings import LabSettings
from vagus.model import Document, Query, Subject

OFFSET = 24_000
PASSAGES = Subject(COMPONENT, vectors.TABLE)
K, QUERIES, QUICK_QUERIES = 10, 60, 20
WARM_UP = 60  # searches that Vagus makes while all is well
WITHIN = 300.0  # s that an incident may last
EVERY = 0.5  # s between two searches of the caller
SLOW_AFTER = 1.0  # s
RECALL = "85%"

COLUMNS = {
    "fault": "fault",
    "named": "named",
    "healthy": "recall healthy",
    "degraded": "degraded",
    "healed": "healed",
    "searches": "searches until found",
    "found_s": "found, s",
    "healed_s": "healed, s",
    "callers": "caller's searches",
    "failed": "failed",
    "slow": "slow",
}


@dataclass(frozen=True)
class Case:
    """``prepare`` may change the healthy store; ``concerned`` says which documents the fault is
    about, by their id."""

    name: str
    prepare: Callable[[LabSettings], None]
    inflict: Callable[[LabSettings], None]
    concerned: Callable[[Document], bool]


def _invalidate(settings: LabSettings) -> None:
    with psycopg.connect(vectors.dsn(settings), autocommit=True) as connection:
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)",
            (vectors.INDEX,),
        )
        # As any of Postgres's own changes does, so that plans that are kept are made anew.
        connection.execute(
            "UPDATE pg_class SET relhasindex = relhasindex WHERE oid = to_regclass(%s)",
            (vectors.TABLE,),
        )


CASES = (
    Case(
        "20,000 foreign documents (IVFFlat)",
        lambda settings: damage.prepare(settings, "foreign-documents"),
        lambda settings: damage.inflict(settings, "foreign-documents"),
        lambda document: int(document.id) >= damage.FOREIGN_FIRST,
    ),
    Case(
        "95 % of the rows deleted (HNSW)",
        lambda settings: damage.prepare(settings, "deleted-rows"),
        lambda settings: damage.inflict(settings, "deleted-rows"),
        lambda document: True,
    ),
    Case(
        "index left invalid (HNSW)",
        lambda settings: None,
        _invalidate,
        lambda document: True,
    ),
)


def run(options: Options) -> Result:
    rows = []
    for case in CASES:
        if options.wants(case.name):
            options.say(f"{case.name}: a store is made")
            with _store(quick=options.quick) as settings:
                rows.append(asyncio.run(_measure(case, settings, options)))
    return Result("retrieval", COLUMNS, rows, _figures(rows))


def _figures(rows: Sequence[Row]) -> dict[str, float]:
    if not rows:
        return {}
    return {
        "healed_recall_min": min(float(row["healed"] or 0) for row in rows),
        "queries_failed": sum(float(row["failed"] or 0) for row in rows),
        "probes_to_detect_max": max(float(row["searches"] or 0) for row in rows),
    }


async def _measure(case: Case, settings: LabSettings, options: Options) -> Row:
    dsn = vectors.dsn(settings)
    await asyncio.to_thread(case.prepare, settings)
    with tempfile.TemporaryDirectory(prefix="vagus-bench-") as folder:
        async with (
            watching(Path(folder), dsn, vectors.TABLE, recall=RECALL) as watched,
            _calling(dsn) as caller,
        ):
            await watched.until_searched(WARM_UP, WITHIN)
            healthy = await _recall(dsn, lambda document: True)
            watched.mark()
            watched.vagus.send(signal.SIGSTOP)  # it would mend faster than we can measure
            await asyncio.to_thread(case.inflict, settings)
            degraded = await _recall(dsn, case.concerned, QUICK_QUERIES)
            watched.began = SystemClock().now()
            caller.reset()
            watched.vagus.send(signal.SIGCONT)
            searches, found_s = await _until_found(watched)
            over = await watched.until_over(WITHIN)
            searched, failed, slow = caller.searched, caller.failed, caller.slow
            healed = await _recall(dsn, case.concerned)
            options.say(f"{case.name}: {over.event} after {over.at - watched.began:.0f} s")
    return {
        "fault": case.name,
        "named": over.text("fault") if over.event == "resolved" else over.event,
        "healthy": healthy,
        "degraded": degraded,
        "healed": healed,
        "searches": searches,
        "found_s": found_s,
        "healed_s": round(over.at - watched.began, 1),
        "callers": searched,
        "failed": failed,
        "slow": slow,
    }


async def _until_found(watched: Watched) -> tuple[int, float]:
    found = await watched.until(
        lambda e: e.event == "finding.opened" and e.text("subject") == str(PASSAGES), WITHIN
    )
    return watched.searches() - watched.searched, round(found.at - watched.began, 1)


async def _recall(dsn: str, concerned: Callable[[Document], bool], queries: int = QUERIES) -> float:
    """The mean over documents by chance, of those that are ``concerned``."""
    probe = PgvectorProbe(dsn, SystemClock(), timeout=60.0)
    try:
        documents = await probe.documents(PASSAGES, 4 * QUERIES)
        asked = [Query(d.text, d.vector) for d in documents if concerned(d)][:queries]
        seen = [await probe.search(PASSAGES, query, K) for query in asked]
    finally:
        await probe.close()
    return round(float(np.mean([search.recall for search in seen])), 3)


class _Caller:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.searched = self.failed = self.slow = 0


@asynccontextmanager
async def _calling(dsn: str) -> AsyncIterator[_Caller]:
    """Somebody who searches all the while, as the lab's pipeline does."""
    caller, chance = _Caller(), np.random.default_rng(8)
    store = PassageStore(connecting_to(dsn), timeout_s=5.0)
    known = corpus.cached(LabSettings(offset=OFFSET)).vectors

    async def call() -> None:
        while True:
            began = time.monotonic()
            try:
                await store.nearest(known[chance.integers(len(known))].tolist(), 3)
            except RetrievalFailed:
                caller.failed += 1
            caller.searched += 1
            caller.slow += time.monotonic() - began > SLOW_AFTER
            await SystemClock().sleep(EVERY)

    calls = asyncio.create_task(call())
    try:
        yield caller
    finally:
        calls.cancel()
        await asyncio.gather(calls, return_exceptions=True)
        await store.close()


@contextmanager
def _store(*, quick: bool) -> Iterator[LabSettings]:
    """The lab's Postgres alone, filled; gone in the end."""
    run_dir = Path(tempfile.mkdtemp(prefix="vagus-bench-"))
    rows = 8_000 if quick else LabSettings().perturbations
    settings = LabSettings(offset=OFFSET, run_dir=run_dir, perturbations=rows)
    try:
        vectors.prepare_cluster(settings)
        user = vectors.run_as()
        server = subprocess.Popen(
            vectors.command(settings),
            stderr=subprocess.PIPE,
            user=user,
            group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
            start_new_session=True,
        )
        try:
            assert server.stderr is not None
            for line in server.stderr:
                if b"ready to accept connections" in line:
                    break
            vectors.load(settings)
            yield settings
        finally:
            os.killpg(server.pid, signal.SIGINT)
            server.communicate(timeout=60)
    finally:
        shutil.rmtree(run_dir)
