"""A bad version of a model, put on one replica without telling anybody."""

from __future__ import annotations

import time
from dataclasses import dataclass

from vagus.chaos.faults import Parameters, Target
from vagus.chaos.supervisor import NoSuchReplica, Supervisor
from vagus.chaos.undo import Note
from vagus.errors import ChaosError

STARTED_WITHIN, POLL = 120.0, 0.2  # s


@dataclass(frozen=True)
class BadVersion:
    """The replica is restarted as another version; mended by its own version, or by a replica in
    its place."""

    name: str = "bad-version"
    title: str = "a bad version of the model on one replica"
    needs: str = "a supervisor that knows versions, and the parameter 'version': a bad one"
    causes: frozenset[str] = frozenset({"replica-nonsense", "version-regressed"})

    def refusal(self, target: Target) -> str:
        if not target.supervisor:
            return "no supervisor keeps it"
        if not target.row.get("version"):
            return "its supervisor knows one version only"
        return "" if target.row.get("state") == "running" else "it does not run"

    def prepare(self, target: Target, parameters: Parameters) -> Note:
        version = parameters.get("version")
        if not isinstance(version, str) or set(parameters) != {"version"}:
            raise ChaosError("bad-version needs one parameter", mend="version: v2-damaged")
        if version == target.row.get("version"):
            raise ChaosError(f"{target} runs {version} already")
        return {
            "component": target.component,
            "replica": target.replica,
            "supervisor": target.supervisor,
            "token_file": target.token_file,
            "generation": target.number("generation"),
            "version": version,
            "was": str(target.row["version"]),
        }

    def does(self, note: Note) -> str:
        where = f"{note['component']}/{note['replica']}"
        return f"restart of {where} as {note['version']} in place of {note['was']}"

    def inject(self, note: Note) -> None:
        supervisor, replica = _of(note)
        supervisor.restart(replica, _token("inject", note), str(note["version"]))
        deadline = time.monotonic() + STARTED_WITHIN
        while not self.took(note):
            if time.monotonic() > deadline:
                raise ChaosError(f"{replica} did not start as {note['version']}")
            time.sleep(POLL)

    def took(self, note: Note) -> bool:
        supervisor, replica = _of(note)
        row = supervisor.replica(replica)
        return row.get("version") == note["version"] and row.get("state") == "running"

    def undo(self, note: Note) -> None:
        supervisor, replica = _of(note)
        try:
            row = supervisor.replica(replica)
        except NoSuchReplica:
            return
        if row.get("version") == note["version"]:
            supervisor.restart(replica, _token("undo", note), str(note["was"]))


def _of(note: Note) -> tuple[Supervisor, str]:
    return Supervisor(str(note["supervisor"]), str(note["token_file"])), str(note["replica"])


def _token(order: str, note: Note) -> str:
    """One for each order of one note: the supervisor carries it out once."""
    return f"{order}:{note['replica']}:{note['generation']}:{note['version']}"


bad_version = BadVersion()
