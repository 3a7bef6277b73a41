"""The facts that operators' rules may speak of: their names, their types, and what they may say.

One flat list, because ``kind == 'vector-store' && hour >= 22`` is what one wants to write at two in
the morning. The list is a type: an engine checks conditions against it when rules are loaded, the
reference page is made from it, and what a rule is given when it is asked is an instance of it.

A fact that may be unknown has a companion that says whether it is known (``error_budget_left``,
``error_budget_left_known``). A rule that speaks of an unknown fact without asking first can't be
answered, and what can't be answered denies.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Union, get_args, get_origin, get_type_hints

from vagus.config import Kind, Mode
from vagus.model import Purpose
from vagus.policy.tiers import FLOORS

Fact = str | int | float | bool

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Says:
    """What a fact tells. ``values``: all that it can be, where that is known beforehand; a rule
    that compares it with anything else could never hold."""

    what: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """One request as rules see it. Shares and confidences lie between 0 and 1."""

    action: Annotated[str, Says("what is to be done", tuple(FLOORS))]
    purpose: Annotated[str, Says("why it is asked for", tuple(p.value for p in Purpose))]
    proposer: Annotated[str, Says("who asks for it: `vagus`, or the name of a token")]
    component: Annotated[str, Says("the component of its target")]
    replica: Annotated[str, Says("the replica that it touches")]
    kind: Annotated[str, Says("what the component is", tuple(k.value for k in Kind))]
    replicas: Annotated[int, Says("how many replicas the component has")]
    tier: Annotated[int, Says("its risk tier, 0 to 5, before rules raise it")]
    blast_radius: Annotated[float, Says("share of what carries callers now that it takes away")]
    fault: Annotated[str, Says("the fault that is taken for the cause")]
    confidence: Annotated[float, Says("how sure the diagnosis is of it")]
    hour: Annotated[int, Says("of the day, 0 to 23, in the rules' timezone")]
    weekday: Annotated[str, Says("in the rules' timezone", WEEKDAYS)]
    date: Annotated[str, Says("such as `2026-12-24`, in the rules' timezone")]
    mode: Annotated[str, Says("the mode that Vagus runs in", tuple(m.value for m in Mode))]
    production: Annotated[bool, Says("`policy.production`: people depend on this stack")]
    environment: Annotated[str, Says("`policy.environment`")]
    record_samples: Annotated[
        int, Says("how often this remedy was tried for this fault on this component")
    ]
    record_bound: Annotated[
        float, Says("at least this share of them healed, with 95 % confidence; 0 without samples")
    ]
    error_budget_left: Annotated[
        float | None, Says("share of the callers' error budget that is left, if it is known")
    ] = None

    def values(self) -> dict[str, Fact]:
        """By name; what is not known is not there, and its companion says so."""
        found: dict[str, Fact] = {}
        for name, fact in CATALOGUE.items():
            if fact.companion_of:
                found[name] = getattr(self, fact.companion_of) is not None
            elif (value := getattr(self, name)) is not None:
                found[name] = value
        return found


@dataclass(frozen=True, slots=True)
class Described:
    """A fact's entry in the catalogue."""

    kind: type[str] | type[int] | type[float] | type[bool]
    what: str
    values: tuple[str, ...] = ()
    companion_of: str = ""


def _described() -> Iterator[tuple[str, Described]]:
    hints = get_type_hints(RuleFacts, include_extras=True)
    for field in fields(RuleFacts):
        kind, says = get_args(hints[field.name])
        optional = get_origin(kind) in (Union, types.UnionType)
        if optional:
            kind = next(k for k in get_args(kind) if k is not type(None))
        yield field.name, Described(kind, says.what, says.values)
        if optional:
            what = f"whether `{field.name}` is known"
            yield f"{field.name}_known", Described(bool, what, companion_of=field.name)


CATALOGUE: Mapping[str, Described] = types.MappingProxyType(dict(_described()))
"""Every name that a condition may use, in the order in which they are documented."""
