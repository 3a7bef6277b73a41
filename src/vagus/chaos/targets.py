"""What could be broken here: the replicas of the declared stack, and who has a hand on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vagus.chaos.faults import Target
from vagus.chaos.supervisor import Supervisor
from vagus.config import Settings
from vagus.errors import ChaosError


def targets(settings: Settings) -> tuple[Target, ...]:
    """Every declared replica, with what its supervisor says of it now.

    Raises ChaosError if a supervisor does not answer: who can't look can't plan.
    """
    asked: dict[tuple[str, str], Mapping[str, Mapping[str, Any]]] = {}
    found = []
    for component, spec in settings.stack.items():
        supervisor, token_file = "", ""
        if spec.runtime is not None:
            process = spec.runtime.process
            supervisor = process.supervisor
            token_file = str(process.token_file) if process.token_file is not None else ""
        key = (supervisor, token_file)
        if supervisor and key not in asked:
            asked[key] = Supervisor(supervisor, token_file).replicas()
        for replica, address in spec.replicas.items():
            row = asked[key].get(replica, {}) if supervisor else {}
            found.append(
                Target(component, replica, spec.kind.value, address, supervisor, token_file, row)
            )
    return tuple(found)


def matching(found: Sequence[Target], component: str, replica: str) -> tuple[Target, ...]:
    """Those of ``component``, or the one ``replica`` of it. Raises ChaosError if there is none: an
    empty set of targets is a mistake, and must never mean that nothing was wrong."""
    chosen = tuple(t for t in found if t.component == component and replica in ("", t.replica))
    if not chosen:
        what = f"{component}/{replica}" if replica else component
        known = ", ".join(map(str, found)) or "none at all"
        raise ChaosError(f"no replica matches {what}", mend=f"there are: {known}")
    return chosen
