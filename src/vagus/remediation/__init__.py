"""Step six: a ruling becomes an action.

What is allowed was decided before, and whether it helped is judged after; here it is only done, and
done so that a crash at any instant neither repeats nor loses it. Traffic is moved by rows of
desired state (:mod:`.traffic`, :mod:`.rerouting`), processes through whoever runs them
(:mod:`.processes`), indexes through their store (:mod:`.indexes`). A playbook names actions by the
names below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vagus.remediation import indexes, processes, rerouting, versions
from vagus.remediation.action import Action, World

KINDS: Mapping[str, Callable[[World], Action]] = {
    "eject": rerouting.Eject,
    "drain": rerouting.Drain,
    "weight": rerouting.Weight,
    "restore": rerouting.Restore,
    "restart": processes.Restart,
    "replace": processes.Replace,
    "rollback": versions.Rollback,
    "rebuild-index": indexes.RebuildIndex,
    "vacuum": indexes.Vacuum,
}

NAMES = frozenset(KINDS)


def actions(world: World) -> Mapping[str, Action]:
    """Every action there is, by name, ready to act in ``world``."""
    return {name: kind(world) for name, kind in KINDS.items()}
