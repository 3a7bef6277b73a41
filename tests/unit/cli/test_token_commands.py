"""``vagus token``, as it is typed."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vagus import config
from vagus.cli import app
from vagus.clock import SystemClock
from vagus.errors import ConfigError, StateError, VagusError
from vagus.model import Principal, Role
from vagus.state.db import open_database
from vagus.state.tokens import Tokens


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vagus.yaml"
    path.write_text("stack:\n  chat: {kind: model-server}\n")
    return path


def vagus(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["token", *map(str, words)])


def known(file: Path, secret: str) -> Principal | None:
    with closing(open_database(config.load(file).state, SystemClock())) as database:
        token = Tokens(database).find(secret)
        return None if token is None else token.principal


def test_the_secret_alone_goes_to_standard_output(file: Path) -> None:
    answer = vagus("create", "jo", "--role", "approver", "--expires", "30d", "-c", file)
    assert answer.exit_code == 0, answer.output
    secret = answer.stdout.strip()
    assert known(file, secret) == Principal("jo", Role.APPROVER)
    assert secret not in answer.stderr
    assert "for 30d" in answer.stderr


def test_a_secret_in_a_file_is_for_its_owner_alone(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "token"
    answer = vagus("create", "jo", "--role", "admin", "--out", out, "-c", file)
    assert answer.exit_code == 0, answer.output
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.read_text().strip() not in answer.output
    assert known(file, out.read_text().strip()) == Principal("jo", Role.ADMIN)
    again = vagus("create", "jo", "--role", "admin", "--out", out, "-c", file)
    assert isinstance(again.exception, VagusError)
    listed = json.loads(vagus("list", "-c", file, "--json").stdout)["tokens"]
    assert len(listed) == 1  # nothing was made that nobody has


def test_listed_and_revoked(file: Path) -> None:
    made = json.loads(vagus("create", "jo", "--role", "viewer", "-c", file, "--json").stdout)
    shown = vagus("list", "-c", file).stdout
    assert made["id"] in shown
    assert made["secret"] not in shown
    assert vagus("revoke", made["id"], "-c", file).exit_code == 0
    assert known(file, made["secret"]) is None
    assert "revoked" in vagus("list", "-c", file).stdout
    assert isinstance(vagus("revoke", "tok-none", "-c", file).exception, StateError)


@pytest.mark.parametrize(
    "words",
    [("jo", "--role", "root"), ("jo", "--role", "admin", "--expires", "30")],
)
def test_mistakes_have_their_mend(file: Path, words: tuple[str, ...]) -> None:
    answer = vagus("create", *words, "-c", file)
    assert isinstance(answer.exception, ConfigError)
    assert answer.exception.mend
