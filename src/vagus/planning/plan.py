"""From a cause to a plan, by the playbook of its fault.

A playbook names remedies in order and nothing else: no conditions, no expressions. What may be done
*now* is the gate's business, and how it is done the action's. What can't be done at all, because
nobody can restart this component or no gateway stands before it, is left out here, so that a plan
holds only what could be carried out. Its treatments stand in the playbook's order, but for those
that experience has clearly put behind (:mod:`.track_record`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vagus._mistakes import first_mistake
from vagus._yaml import load_located
from vagus.errors import ConfigError
from vagus.model import Cause, Plan, Remedy
from vagus.planning.track_record import RecordOf, arrange
from vagus.topology import Topology

TRAFFIC_REMEDIES = frozenset({"eject", "drain"})
PROCESS_REMEDIES = frozenset({"restart", "replace", "rollback"})


class _Playbook(BaseModel):
    """The form of a playbook file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: str
    contain: tuple[str, ...] = ()
    treat: tuple[str, ...] = ()
    return_: str = Field("gradual", alias="return", pattern="^(gradual|at-once)$")


@dataclass(frozen=True)
class Playbooks:
    """Fault -> remedies by name."""

    _by_fault: Mapping[str, _Playbook]

    @classmethod
    def load(
        cls,
        faults: Collection[str],
        actions: Collection[str],
        folder: Traversable | None = None,
    ) -> Playbooks:
        """Read every ``*.yaml`` of ``folder`` (default: those that come with Vagus).

        Raises ConfigError, naming the file, for a fault or an action that nobody knows, and for a
        fault of the catalogue that has no playbook: it would be found and then not treated.
        """
        folder = folder or resources.files(__package__).joinpath("playbooks")
        found: dict[str, _Playbook] = {}
        for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if file.name.endswith(".yaml"):
                playbook = _read(file, actions)
                if playbook.fault not in faults:
                    raise ConfigError(
                        f"unknown fault {playbook.fault!r}",
                        where=file.name,
                        mend=f"the catalogue has: {', '.join(sorted(faults))}",
                    )
                found[playbook.fault] = playbook
        missing = sorted(set(faults) - set(found))
        if missing:
            raise ConfigError(f"no playbook for {', '.join(missing)}", where=str(folder))
        return cls(found)

    def plan(
        self,
        cause: Cause,
        topology: Topology,
        *,
        routed: bool,
        return_steps: tuple[float, ...],
        record_of: RecordOf,
    ) -> Plan:
        """What to do about ``cause``. ``routed``: a gateway of ours steers this component."""
        playbook = self._by_fault[cause.fault]
        target = cause.subject
        node = topology.components.get(target.component)
        restartable = node is not None and node.restartable
        treatments = _remedies(playbook.treat, cause, routed=routed, restartable=restartable)
        arranged, reasons = arrange(treatments, record_of)
        return Plan(
            fault=cause.fault,
            target=target,
            containment=_remedies(playbook.contain, cause, routed=routed, restartable=restartable),
            treatments=arranged,
            return_steps=return_steps if playbook.return_ == "gradual" else (1.0,),
            reasons=reasons,
        )


def _remedies(
    names: tuple[str, ...], cause: Cause, *, routed: bool, restartable: bool
) -> tuple[Remedy, ...]:
    if not cause.subject.replica:  # no replica is to blame: there is nobody to act upon
        routed = restartable = False
    possible = {
        **dict.fromkeys(TRAFFIC_REMEDIES, routed),
        **dict.fromkeys(PROCESS_REMEDIES, restartable),
        # A replacement must be put into traffic, so it needs both.
        "replace": routed and restartable,
        "rollback": restartable and bool(cause.before),
    }
    return tuple(
        Remedy(name, cause.subject, version=cause.before if name == "rollback" else "")
        for name in names
        if possible.get(name, True)
    )


def _read(file: Traversable, actions: Collection[str]) -> _Playbook:
    document = load_located(file.read_text(encoding="utf-8"), name=file.name)
    try:
        playbook = _Playbook.model_validate(document.value)
    except ValidationError as error:
        raise first_mistake(error, _Playbook, document, file.name) from error
    for key, names in (("contain", playbook.contain), ("treat", playbook.treat)):
        for name in names:
            if name not in actions:
                raise ConfigError(
                    f"unknown action {name!r}",
                    where=f"{file.name}:{document.line_of([key])}",
                    mend=f"known actions: {', '.join(sorted(actions))}",
                )
    return playbook
