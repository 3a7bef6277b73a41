"""What was committed survives, what was not never was, and of two processes one wins."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vagus.clock import SystemClock
from vagus.model import IntentState
from vagus.state.db import open_database
from vagus.state.intents import Intents
from vagus.state.ledger import Ledger
from vagus.testing.postgres import Server

pytestmark = pytest.mark.crash


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'vagus.db'}"
    server: Server = request.getfixturevalue("postgres")
    return server.new_state()


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


WRITER = """
    import sys
    from vagus.clock import SystemClock
    from vagus.state.db import open_database
    from vagus.state.ledger import Ledger

    database = open_database(sys.argv[1], SystemClock())
    ledger = Ledger(database)
    for n in range(int(sys.argv[2]), 10**9):
        ledger.append("writer", str(n), "committed", {"padding": "x" * 500})
        print(n, flush=True)
        if n % 7 == 0:
            with database.write():
                for m in range(50):
                    ledger.append("writer", f"{n}.{m}", "not committed", {"padding": "x" * 500})
                print("within", flush=True)
                sys.stdin.readline()
"""


def test_kill_9_loses_nothing_that_was_committed_and_keeps_nothing_that_was_not(
    url: str,
) -> None:
    """Killed again and again: within a transaction that has written much, and at any moment."""
    said, first = [], 1
    for most in (100, 3, 100):
        writer = start(WRITER, url, str(first))
        assert writer.stdout is not None
        try:
            for count, line in enumerate(writer.stdout, start=1):
                if line == "within\n":
                    break
                said.append(line.strip())
                if count == most:
                    break
        finally:
            writer.kill()
            rest = writer.communicate()[0]
        said += [line for line in rest.split() if line.isdigit()]
        database = open_database(url, SystemClock())
        try:
            entries = list(Ledger(database).entries())
            assert Ledger(database).verify() == []
        finally:
            database.close()
        kept = [entry.step for entry in entries]
        assert {entry.event for entry in entries} == {"committed"}
        assert set(said) <= set(kept)
        assert len(kept) - len(said) <= 3  # committed, and killed before it could say so
        first = int(kept[-1]) + 1
        said = kept


CONTENDER = """
    import sys
    from pathlib import Path
    from vagus.clock import SystemClock
    from vagus.config import Kind, Mode
    from vagus.model import (
        Cause, Check, Finding, IntentState, Purpose, Remedy, Request, Sense, SensesReport,
        Subject, Symptom, Tier,
    )
    from vagus.policy.facts import Kept, Law, Moment, gather
    from vagus.policy.gate import judge
    from vagus.state.db import open_database
    from vagus.state.incidents import Incidents
    from vagus.state.intents import Intents
    from vagus.state.leases import Leases
    from vagus.state.overrides import Overrides
    from vagus.testing.cases import a_policy
    from vagus.topology import ComponentNode, Topology

    url, me, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
    clock = SystemClock()
    database = open_database(url, clock)
    incidents, intents = Incidents(database), Intents(database)
    topology = Topology({"chat": ComponentNode(
        "chat", Kind.MODEL_SERVER, "generic", {f"chat-{n}": "" for n in (1, 2, 3)}
    )})
    mine = Subject("chat", f"chat-{me}")

    def ask(turn):
        now = clock.now()
        seen = Finding(mine, Symptom.SLOW, Sense.GATEWAY, now, now, "slow")
        cause = Cause("replica-slow", mine, 0.9)
        incident = incidents.open(mine, cause, [seen])
        request = Request(Purpose.CONTAIN, incident.id, 1, turn, 1, Remedy("eject", mine), cause,
                          Tier.R1)
        def judged():
            moment = Moment(
                clock.now(), Mode.AUTO, None, SensesReport(True), frozenset(), topology
            )
            kept = Kept(incidents, intents, Overrides(database))
            return judge(request, gather(request, Law(a_policy()), moment, kept))
        return intents.decide(request, Check(mine, 3, 5.0, 60.0), judged, shadow=False)

    print("ready", flush=True)
    for turn in range(rounds):
        sys.stdin.readline()
        intent = ask(turn)
        print(intent.token if intent.state is IntentState.WRITTEN else "-", flush=True)
"""

ROUNDS = 15


def test_of_two_processes_one_ejects_and_the_other_meets_the_floor(url: str) -> None:
    """Each wants another of three replicas out, at the same time; the floor lets one go."""
    database = open_database(url, SystemClock())
    contenders = [start(CONTENDER, url, me, str(ROUNDS)) for me in ("1", "2")]
    try:
        for contender in contenders:
            assert contender.stdout is not None
            assert contender.stdout.readline() == "ready\n"
        for _ in range(ROUNDS):
            for contender in contenders:
                assert contender.stdin is not None
                contender.stdin.write("go\n")
                contender.stdin.flush()
            answers = [c.stdout.readline().strip() for c in contenders if c.stdout is not None]
            winners = [answer for answer in answers if answer != "-"]
            assert len(winners) == 1, answers
            Intents(database).finish(winners[0], IntentState.FAILED)
    finally:
        for contender in contenders:
            contender.kill()
            contender.communicate()
        database.close()


def test_a_killed_writer_frees_the_lock(url: str) -> None:
    """And nothing of what it was writing is seen."""
    writer = start(WRITER, url, "7")
    assert writer.stdout is not None
    try:
        assert [writer.stdout.readline() for _ in range(2)] == ["7\n", "within\n"]
    finally:
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
    database = open_database(url, SystemClock())
    try:
        Ledger(database).append("other", "1", "said")
        assert [entry.step for entry in Ledger(database).tail(5)] == ["7", "1"]
    finally:
        database.close()
