"""One of several processes on one state in Postgres. Run by the test beside it.

``takeover_worker.py URL FOLDER [WHAT NAME COUNT WHEN]``: waits until it leads, then heals the one
incident there is, or the one that it makes. WHAT it does once, ``before`` or ``after`` (WHEN) the
COUNT-th call of NAME to what the workflow works with: ``wait`` (until a line comes), ``stop`` (with
SIGSTOP, as if the machine had been suspended). It says in lines what happens: who it is, that it
leads, each call, and how it ended.
"""

from __future__ import annotations

import asyncio
import dataclasses
import faulthandler
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from vagus import healing
from vagus.cli.logs import configure_logs
from vagus.clock import SystemClock
from vagus.config import ApiSettings
from vagus.errors import StateUnavailable, VagusError
from vagus.healing_steps import Hands
from vagus.leadership import Lead, leading
from vagus.model import Aspect
from vagus.testing.bench import Bench

WRAPPED = ("incidents", "intents", "leases", "ledger", "forget", "call")

HANGS = 110.0  # s after which it says where it stands, and ends
CONTINUED: list[threading.Event] = []


def say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Interruption:
    """Does one thing at one of the calls, and tells of all of them."""

    def __init__(self, what: str = "", name: str = "", count: str = "0", when: str = "") -> None:
        self.what, self.at, self.when = what, (name, int(count)), when
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def alter(self, hands: Hands) -> Hands:
        changed: dict[str, object] = {}
        for name in WRAPPED:
            inner = getattr(hands, name)
            changed[name] = (
                self.around(name, inner) if callable(inner) else _Told(name, inner, self)
            )
        return dataclasses.replace(hands, **changed)

    def around(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        def called(*args: object, **kwargs: object) -> object:
            with self._lock:
                count = self._counts[name] = self._counts.get(name, 0) + 1
            say(call=name, count=count)
            self._interrupt(name, count, "before")
            try:
                result = function(*args, **kwargs)
            except StateUnavailable as error:
                say(unavailable=name, error=str(error))
                raise
            self._interrupt(name, count, "after")
            return result

        return called

    def _interrupt(self, name: str, count: int, when: str) -> None:
        if (name, count) != self.at or when != self.when:
            return
        say(reached=name)
        if self.what == "wait":
            sys.stdin.readline()
        elif self.what == "stop":
            continued = threading.Event()
            CONTINUED.append(continued)
            os.kill(os.getpid(), signal.SIGSTOP)
            continued.wait()  # this thread may run on for a moment before the process stops
        say(went_on=name)


class _Told:
    def __init__(self, name: str, inner: object, around: Interruption) -> None:
        self._name, self._inner, self._around = name, inner, around

    def __getattr__(self, method: str) -> object:
        return self._around.around(f"{self._name}.{method}", getattr(self._inner, method))


def heal(url: str, folder: Path, lead: Lead, interruption: Interruption) -> None:
    bench = Bench(folder, interruption.alter, url=url, lead=lead)
    bench.world.replicas_by_name["chat-2"].sick_until = "restart"
    known = bench.incidents.recent(1)
    incident = known[0] if known else bench.sicken()
    bench.world.remember()
    healed = bench.heal(incident)
    say(
        state=healed.state.value,
        breaks=[str(b) for b in bench.ledger.verify()],
        events=[e.event for e in bench.ledger.entries()],
        held_back=sum(o.aspect is not Aspect.MEMBER for o in bench.overrides.all()),
    )
    bench.close()


async def main() -> None:
    url, folder = sys.argv[1], Path(sys.argv[2])
    healing.LOOK_EVERY = 0.02
    configure_logs(quiet=False)
    signal.signal(signal.SIGCONT, lambda *_: [event.set() for event in CONTINUED])
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    say(pid=os.getpid())
    async with leading(url, SystemClock(), ApiSettings(port=0)) as lead:
        say(leads=lead.term.owner, fencing=lead.term.fencing)
        await asyncio.to_thread(heal, url, folder, lead, Interruption(*sys.argv[3:]))


if __name__ == "__main__":
    faulthandler.dump_traceback_later(HANGS, exit=True)
    try:
        asyncio.run(main())
    except VagusError as error:
        say(error=str(error))
        sys.exit(error.exit_code)
