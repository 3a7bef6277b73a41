"""What ``vagus stop``, ``resume`` and ``mode`` do and print.

Stopping must work when nothing else does, so whatever keeps it from going through the API (Vagus is
down, there is no token, it has expired) it falls back to the file, which needs nobody's consent but
the file system's. Everything else is asked of the API.
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import typer

from vagus import config
from vagus.cli.remote import Refused, Remote
from vagus.cli.token_commands import whoami
from vagus.clock import SystemClock
from vagus.config import Mode, Settings
from vagus.errors import ConfigError, TargetUnreachable, VagusError
from vagus.state.controls import Controls
from vagus.state.db import open_database

DECLARED = "declared"


def stop_all(path: Path, token_file: Path | None, *, reason: str, as_json: bool) -> None:
    settings = config.load(path)
    reason = " ".join(reason.split())
    if not reason:
        raise ConfigError("--reason is empty", mend="say why, for whoever finds it standing still")
    file = settings.policy.kill_switch
    try:
        Remote(settings, token_file).put("kill-switch", body={"reason": reason})
    except (TargetUnreachable, ConfigError, Refused) as error:
        how = "file" if _write(file, reason) else "file that was there already"
        told = {"stopped": True, "by": "file", "file": str(file), "because": error.message}
        sentence = f"stopped by the {how}, {file} (not through the API: {error.message})"
    else:
        told = {"stopped": True, "by": "api"}
        sentence = "stopped, through the API"
    typer.echo(json.dumps(told) if as_json else sentence)


def resume_all(path: Path, token_file: Path | None, *, as_json: bool) -> None:
    settings = config.load(path)
    file = settings.policy.kill_switch
    lifted: list[str] = []
    if file.exists():
        file.unlink()
        lifted.append(f"the file {file}")
        if not as_json:  # said at once: what follows may be refused
            typer.echo(f"lifted: {lifted[0]}")
    if _lift_in_state(settings, Remote(settings, token_file)):
        lifted.append("the switch in the state")
        if not as_json:
            typer.echo(f"lifted: {lifted[-1]}")
    if as_json:
        typer.echo(json.dumps({"lifted": lifted}))
    elif not lifted:
        typer.echo("it was not set")


def print_mode(path: Path, token_file: Path | None, *, as_json: bool) -> None:
    _show(Remote(config.load(path), token_file).get("mode"), as_json=as_json)


def choose_mode(
    path: Path, token_file: Path | None, wanted: str, *, reason: str, as_json: bool
) -> None:
    if wanted not in (*Mode, DECLARED):
        modes = ", ".join([*Mode, DECLARED])
        raise ConfigError(f"there is no mode {wanted!r}", mend=f"use one of {modes}")
    if wanted != DECLARED and not reason.strip():
        raise ConfigError("a mode needs --reason", mend="say why, for whoever wonders tomorrow")
    remote = Remote(config.load(path), token_file)
    if wanted == DECLARED:
        _show(remote.delete("mode"), as_json=as_json)
    else:
        _show(remote.put("mode", body={"mode": wanted, "reason": reason}), as_json=as_json)


def _show(mode: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(mode))
    elif mode["chosen"] is None:
        typer.echo(f"{mode['mode']}, as the configuration says")
    else:
        typer.echo(f"{mode['mode']}, chosen over the configuration's {mode['declared']}")


def _write(file: Path, reason: str) -> bool:
    """Set the switch by its file. False: it is there already, and keeps what it says."""
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(f"{whoami()}: {reason}\n")
    except FileExistsError:
        return False
    except OSError as error:
        raise VagusError(
            f"NOT stopped: the file can't be written: {error.strerror}",
            where=str(file),
            mend="stop the process",
        ) from error
    return True


def _lift_in_state(settings: Settings, remote: Remote) -> bool:
    """Whether it was set there. While Vagus is down the state itself is asked: whoever can write it
    is an admin."""
    try:
        found = remote.get("kill-switch")
        if all(switch["where"] != "state" for switch in found["switches"]):
            return False
        remote.delete("kill-switch")
    except TargetUnreachable:
        return _lift_offline(settings)
    return True


def _lift_offline(settings: Settings) -> bool:
    file = Path(settings.state.removeprefix("sqlite:///"))
    if settings.state.startswith("sqlite:///") and not file.exists():
        return False  # there is no state yet, and this is no reason to make one
    with closing(open_database(settings.state, SystemClock())) as database:
        controls = Controls(database)
        if controls.stop() is None:
            return False
        controls.clear_stop(whoami())
    return True
