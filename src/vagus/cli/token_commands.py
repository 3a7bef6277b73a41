"""What ``vagus token`` does: tokens in the state, secrets on standard output and nowhere else."""

from __future__ import annotations

import getpass
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from vagus import config
from vagus._units import Duration
from vagus.clock import SystemClock
from vagus.errors import ConfigError, VagusError
from vagus.model import Role
from vagus.state.db import open_database
from vagus.state.tokens import Created, Token, Tokens


def create_token(
    path: Path, name: str, *, role: str, expires: str | None, out: Path | None, as_json: bool
) -> None:
    wanted, lifetime = _role(role), _lifetime(expires)
    if out is not None and out.exists():
        raise VagusError("is there already", where=str(out), mend="move it away, or name another")
    with _tokens(path) as tokens:
        created = tokens.create(name, wanted, by=whoami(), lifetime=lifetime)
    if out is not None:
        _write(out, created)
    shown = _facts(created.token)
    if as_json:
        secret = {"secret": created.secret} if out is None else {"file": str(out)}
        typer.echo(json.dumps({**shown, **secret}))
        return
    until = "until it is revoked" if expires is None else f"for {expires}"
    sys.stderr.write(f"{created.token.id}: {name} may act as {role}, {until}\n")
    if out is None:
        sys.stderr.write("the secret, shown this once:\n")
        typer.echo(created.secret)
    else:
        sys.stderr.write(f"the secret is in {out}\n")


def print_tokens(path: Path, *, as_json: bool) -> None:
    with _tokens(path) as tokens:
        found = tokens.all()
    if as_json:
        typer.echo(json.dumps({"tokens": [_facts(token) for token in found]}))
        return
    if not found:
        typer.echo("no tokens yet (make one: vagus token create NAME --role approver)")
        return
    table = Table(box=None, header_style="bright_black")
    for title in ("token", "name", "role", "made", "by", "state"):
        table.add_column(title, no_wrap=True)
    for token in found:
        made = _when(token.created_at)
        row = (token.id, token.name, token.role.name.lower(), made, token.created_by, _state(token))
        table.add_row(*row)
    Console().print(table)


def revoke_token(path: Path, token_id: str, *, as_json: bool) -> None:
    with _tokens(path) as tokens:
        token = tokens.revoke(token_id, by=whoami())
    if as_json:
        typer.echo(json.dumps(_facts(token)))
    else:
        typer.echo(f"{token.id} ({token.name}) is revoked")


def whoami() -> str:
    """Who sits at the shell, as the ledger names them."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    return f"{name} (shell)"


@contextmanager
def _tokens(path: Path) -> Iterator[Tokens]:
    database = open_database(config.load(path).state, SystemClock())
    try:
        yield Tokens(database)
    finally:
        database.close()


def _role(text: str) -> Role:
    try:
        return Role[text.upper()]
    except KeyError as error:
        roles = ", ".join(role.name.lower() for role in Role)
        raise ConfigError(f"there is no role {text!r}", mend=f"use one of {roles}") from error


def _lifetime(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return TypeAdapter[float](Duration).validate_python(text)
    except ValidationError as error:
        message = f"--expires {text!r} is not a duration"
        raise ConfigError(message, mend="write it as 12h or 30d") from error


def _write(file: Path, created: Created) -> None:
    """Into a file that was never readable by others, not even for a moment."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(created.secret + "\n")
    except OSError as error:
        raise VagusError(
            f"the secret can't be written there: {error.strerror}",
            where=str(file),
            mend=f"revoke it, since nobody has it: vagus token revoke {created.token.id}",
        ) from error


def _facts(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role.name.lower(),
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
    }


def _state(token: Token) -> str:
    if token.revoked_at is not None:
        return f"revoked {_when(token.revoked_at)}"
    if token.expires_at is None:
        return "valid"
    return f"{'valid until' if token.valid(time.time()) else 'expired'} {_when(token.expires_at)}"


def _when(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")
