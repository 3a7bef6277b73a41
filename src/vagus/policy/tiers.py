"""Risk tiers: what kind of decision a remedy is, before anybody looks at the case.

R1 is for what is reversible or restores itself, is stateless and touches one replica. A replacement
leaves another stack behind than there was, so it is R2 and somebody is told. What touches the
process of a store that keeps data is neither, and needs a person. An action without a tier is never
automated: a new one must be given one here before it can act.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vagus.config import Kind
from vagus.model import Remedy, Tier
from vagus.policy.remedies import MOVES_TRAFFIC
from vagus.topology import Topology

FLOORS: Mapping[str, Tier] = MappingProxyType(
    {
        "eject": Tier.R1,
        "drain": Tier.R1,
        "weight": Tier.R1,
        "restore": Tier.R1,
        "restart": Tier.R1,
        "replace": Tier.R2,
        "rollback": Tier.R3,
    }
)
"""The tier of an action at its most harmless; circumstances only raise it."""

STATEFUL = frozenset({Kind.VECTOR_STORE, Kind.CACHE})
"""Kinds whose processes hold what would be lost, or cold, after a restart."""

APPROVERS: Mapping[Tier, int] = MappingProxyType({Tier.R3: 1, Tier.R4: 2})
"""How many people must say yes."""


def floor_of(action: str) -> Tier:
    return FLOORS.get(action, Tier.R5)


def tier_of(remedy: Remedy, topology: Topology) -> Tier:
    """The tier of ``remedy`` in this stack: the action's floor, raised where its target is."""
    tier = floor_of(remedy.action)
    node = topology.components.get(remedy.target.component)
    if node is not None and node.kind in STATEFUL and remedy.action not in MOVES_TRAFFIC:
        return max(tier, Tier.R3)
    return tier
