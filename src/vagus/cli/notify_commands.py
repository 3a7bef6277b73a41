"""What ``vagus notify`` does: one message to each target, now, and what came of it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import typer

from vagus import config
from vagus.clock import SystemClock
from vagus.config import NotifyTarget
from vagus.errors import ConfigError, VagusError
from vagus.model import Notification
from vagus.notify.addresses import Address
from vagus.notify.templates import trial_run


def send_tests(path: Path, name: str | None, *, as_json: bool) -> None:
    targets = _named(config.load(path).notify, name)
    errors = {target.name: _send(target) for target in targets}
    if as_json:
        told = [{"target": who, "ok": not why, "error": why} for who, why in errors.items()]
        typer.echo(json.dumps({"targets": told}))
    else:
        for who, why in errors.items():
            typer.echo(f"{who}: {why or 'it took the message'}")
    if any(errors.values()):
        raise typer.Exit(1)


def _named(targets: tuple[NotifyTarget, ...], name: str | None) -> tuple[NotifyTarget, ...]:
    if not targets:
        raise ConfigError("nobody is to be told", mend="list targets under 'notify:'")
    chosen = tuple(target for target in targets if name in (None, target.name))
    if not chosen:
        known = ", ".join(target.name for target in targets)
        raise ConfigError(f"there is no target {name!r}", mend=f"there are: {known}")
    return chosen


def _send(target: NotifyTarget) -> str:
    """Why it did not arrive; nothing if it did. It never holds the address."""
    now, test_id = SystemClock().now(), f"test-{secrets.token_hex(4)}"
    try:
        Address(target).send(Notification(test_id, target.name, trial_run(target.name), now))
    except VagusError as error:
        return str(error)
    return ""
