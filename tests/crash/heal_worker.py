"""Heals one incident, and kills itself with SIGKILL at a given call. Run by the test beside it.

``heal_worker.py FOLDER INDEX WHEN``: INDEX counts the calls that the workflow makes to whatever it
works with (state, world, ledger), WHEN is ``before`` or ``after``; INDEX -1 lives to the end and
prints the names of the calls.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from vagus import healing
from vagus.healing_steps import Hands
from vagus.model import Aspect
from vagus.testing.bench import Bench

WRAPPED = ("incidents", "intents", "leases", "ledger", "forget", "call")


class Killer:
    """Counts calls and ends the process at one of them."""

    def __init__(self, index: int, when: str) -> None:
        self.index, self.when = index, when
        self.calls: list[str] = []
        self._lock = threading.Lock()

    def around(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        def called(*args: object, **kwargs: object) -> object:
            with self._lock:
                mine = len(self.calls)
                self.calls.append(name)
            if mine == self.index and self.when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            result = function(*args, **kwargs)
            if mine == self.index:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return called

    def alter(self, hands: Hands) -> Hands:
        changed = {
            name: (
                self.around(name, getattr(hands, name))
                if callable(getattr(hands, name))
                else _Wrapped(name, getattr(hands, name), self)
            )
            for name in WRAPPED
        }
        return dataclasses.replace(hands, **changed)


class _Wrapped:
    def __init__(self, name: str, inner: object, killer: Killer) -> None:
        self._name, self._inner, self._killer = name, inner, killer

    def __getattr__(self, method: str) -> object:
        return self._killer.around(f"{self._name}.{method}", getattr(self._inner, method))


def main() -> None:
    folder, index, when = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    healing.LOOK_EVERY = 0.02
    killer = Killer(index, when)
    fresh = not (folder / "vagus.db").exists()
    bench = Bench(folder, killer.alter)
    bench.world.replicas_by_name["chat-2"].sick_until = "restart"
    incident = bench.sicken() if fresh else bench.incidents.recent(1)[0]
    bench.world.remember()
    healed = bench.heal(incident)
    journal = folder / "world.journal"
    restarts = journal.read_text().splitlines() if journal.exists() else []
    sys.stdout.write(
        json.dumps(
            {
                "state": healed.state.value,
                "restarts": restarts,
                "breaks": [str(b) for b in bench.ledger.verify()],
                "events": [e.event for e in bench.ledger.entries()],
                "held_back": sum(o.aspect is not Aspect.MEMBER for o in bench.overrides.all()),
                "calls": killer.calls,
            }
        )
    )
    bench.close()


if __name__ == "__main__":
    main()
