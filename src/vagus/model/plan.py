"""Planning: what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from vagus.model.subject import Subject


class Tier(IntEnum):
    """Who decides. R0 observe; R1 reversible or self-restoring, stateless, one replica: automatic;
    R2 automatic and tells someone; R3 one approver; R4 two distinct approvers; R5 never."""

    R0 = 0
    R1 = 1
    R2 = 2
    R3 = 3
    R4 = 4
    R5 = 5


@dataclass(frozen=True, slots=True)
class Remedy:
    """One typed action on one target, as the playbook names it."""

    action: str  # eject, drain, weight, restart, replace ... (remediation's registry)
    target: Subject
    share: float = 0.0  # of traffic, for ``weight``
    version: str = ""  # to go back to, for ``rollback``


@dataclass(frozen=True, slots=True)
class Plan:
    """Contain, treat, return.

    ``containment`` keeps callers safe and is held until the incident closes; ``treatments`` are
    tried in order, each verified; ``return_steps`` are the shares of traffic given back one after
    the other, the last one 1.0. ``reasons`` say why treatments are not in the playbook's order.
    """

    fault: str
    target: Subject
    containment: tuple[Remedy, ...] = ()
    treatments: tuple[Remedy, ...] = ()
    return_steps: tuple[float, ...] = (1.0,)
    reasons: tuple[str, ...] = ()
