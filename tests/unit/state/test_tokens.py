"""Bearer tokens: shown once, kept as a hash, worthless once expired or revoked."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from vagus.clock import ManualClock
from vagus.errors import StateError
from vagus.model import Principal, Role
from vagus.state import tables
from vagus.state.db import Database
from vagus.state.ledger import Ledger
from vagus.state.tokens import PREFIX, Tokens


@pytest.fixture
def tokens(database: Database) -> Tokens:
    return Tokens(database)


def test_a_token_is_known_by_its_secret(tokens: Tokens) -> None:
    created = tokens.create("jo", Role.APPROVER, "root")
    assert created.secret.startswith(PREFIX)
    assert len(created.secret) == len(PREFIX) + 43  # 256 bits in base64
    found = tokens.find(created.secret)
    assert found == created.token
    assert found is not None
    assert found.principal == Principal("jo", Role.APPROVER)


def test_the_secret_is_kept_nowhere(tokens: Tokens, database: Database, tmp_path: Path) -> None:
    created = tokens.create("jo", Role.ADMIN, "root")
    bare = created.secret.removeprefix(PREFIX)
    assert bare not in repr(created)
    with database.read() as connection:
        for table in (tables.tokens, tables.ledger):
            assert bare not in str(connection.execute(select(table)).all())
    for file in tmp_path.iterdir():
        assert bare.encode() not in file.read_bytes()


def test_no_two_secrets_are_alike(tokens: Tokens) -> None:
    assert len({tokens.create("jo", Role.VIEWER, "root").secret for _ in range(20)}) == 20


def test_a_token_expires(tokens: Tokens, clock: ManualClock) -> None:
    secret = tokens.create("jo", Role.VIEWER, "root", lifetime=60.0).secret
    clock.advance(59.9)
    assert tokens.find(secret) is not None
    clock.advance(0.1)
    assert tokens.find(secret) is None


def test_a_revoked_token_is_worthless_and_others_are_not(
    tokens: Tokens, clock: ManualClock, database: Database
) -> None:
    gone = tokens.create("jo", Role.ADMIN, "root")
    kept = tokens.create("jo", Role.ADMIN, "root")
    first = tokens.revoke(gone.token.id, "ann")
    clock.advance(5.0)
    assert tokens.revoke(gone.token.id, "bob") == first  # once
    assert tokens.find(gone.secret) is None
    assert tokens.find(kept.secret) is not None
    events = [(e.event, e.facts["by"]) for e in Ledger(database).entries()]
    assert events == [("token.created", "root")] * 2 + [("token.revoked", "ann")]


def test_revoking_an_unknown_one_says_so(tokens: Tokens) -> None:
    with pytest.raises(StateError, match="no such token"):
        tokens.revoke("tok-1", "ann")


def test_what_a_token_opened_can_be_asked_for_later(tokens: Tokens, clock: ManualClock) -> None:
    short = tokens.create("jo", Role.VIEWER, "root", lifetime=60.0).token
    gone = tokens.create("jo", Role.VIEWER, "root").token
    assert tokens.stands(short.id)
    tokens.revoke(gone.id, "ann")
    clock.advance(60.0)
    assert [tokens.stands(name) for name in (short.id, gone.id, "tok-none")] == [False] * 3


@pytest.mark.parametrize(
    "secret",
    [
        "",
        PREFIX,
        "vagus_" + "A" * 43,
        "A" * 43,
        "vagus_" + "A" * 100_000,
        "vagus_ü",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "vagus_' OR 1=1 --",
        "vagus_%",
    ],
)
def test_what_was_never_made_is_unknown(tokens: Tokens, secret: str) -> None:
    tokens.create("jo", Role.ADMIN, "root")
    assert tokens.find(secret) is None


def test_a_hash_is_no_secret(tokens: Tokens, database: Database) -> None:
    tokens.create("jo", Role.ADMIN, "root")
    with database.read() as connection:
        stored = connection.execute(select(tables.tokens.c.hash)).scalar_one()
    assert tokens.find(stored) is None
    assert tokens.find(PREFIX + stored) is None


@pytest.mark.parametrize("name", ["", "Jo", "jo ", "vagus", "a/b", "-jo", "ü", "x" * 65, "j\no"])
def test_a_name_that_could_be_mistaken_is_refused(tokens: Tokens, name: str) -> None:
    with pytest.raises(StateError, match="name of a token"):
        tokens.create(name, Role.VIEWER, "root")
    assert tokens.all() == []


def test_a_lifetime_has_to_be_one(tokens: Tokens) -> None:
    with pytest.raises(StateError):
        tokens.create("jo", Role.VIEWER, "root", lifetime=0.0)


def test_all_of_them_are_listed(tokens: Tokens, clock: ManualClock) -> None:
    first = tokens.create("jo", Role.VIEWER, "root").token
    clock.advance(1.0)
    second = tokens.create("ann", Role.ADMIN, "root", lifetime=9.0).token
    assert tokens.all() == [first, second]
