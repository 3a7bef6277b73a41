"""The run folder: who may use it, and ``lab.json``, the lab's word on how it stands.

The supervisor writes ``lab.json`` whenever its phase changes, and last of all when it ends; whoever
can't ask it any more, or needn't, reads why. It is a note, not a lock: a supervisor that was killed
leaves ``up`` behind, so a reader also looks whether the process is there.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from vagus.errors import LabError
from vagus.lab.settings import LabSettings, url
from vagus.lab.wheels import replacing


@dataclass(frozen=True)
class LabNote:
    """What ``lab.json`` says; ``pid`` is the supervisor's, if it still runs."""

    phase: str
    pid: int | None
    error: LabError | None


def claim(settings: LabSettings) -> None:
    """Make the run folder; one that another user put there is refused, not used."""
    folder = settings.run_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if folder.is_symlink() or not folder.is_dir() or folder.stat().st_uid != os.getuid():
            raise LabError("the run folder isn't ours", where=str(folder), mend="use another")
        settings.logs_dir.mkdir(exist_ok=True)
        settings.save()
    except OSError as error:
        raise LabError(
            f"the run folder can't be used: {error.strerror}", where=str(folder), mend="use another"
        ) from error


def write_note(settings: LabSettings, phase: str, error: LabError | None = None) -> None:
    """Say how the lab stands, as the supervisor."""
    state = {
        "phase": phase,
        "pid": os.getpid(),
        "supervisor": url(settings.supervisor_port),
        "config": str(settings.config_file),
        "offset": settings.offset,
        "ports": dict(settings.ports_at_start()),
        "error": error and {"message": error.message, "where": error.where, "mend": error.mend},
    }
    with replacing(settings.state_file) as fresh:
        fresh.write_text(json.dumps(state, indent=1), encoding="utf-8")


def read_note(settings: LabSettings) -> LabNote:
    """How the lab stands; ``down`` if there never was one."""
    try:
        state = json.loads(settings.state_file.read_text(encoding="utf-8"))
        pid, phase, error = state["pid"], state["phase"], state["error"]
        told = error and LabError(error["message"], where=error["where"], mend=error["mend"])
    except (OSError, ValueError, KeyError, TypeError):
        return LabNote("down", None, None)
    if not _is_supervisor(pid):
        return LabNote("failed" if phase == "failed" else "down", None, told)
    return LabNote(phase, pid, told)


def _is_supervisor(pid: int) -> bool:
    """Whether the process is what it was: its number may have gone to another program."""
    try:
        return b"vagus.lab.supervisor" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
