"""Bearer tokens: who may speak to the API, as whom, and until when.

A secret is 256 random bits, shown once when it is made. What is kept is its SHA-256: a fast hash is
right here, since nobody guesses 256 bits, and salting or stretching them would only make each call
slower. A stolen state therefore holds no secret. Looking one up compares hashes, whose order says
nothing of the secret, and then compares once more in constant time, so that neither the index nor
the driver has to be trusted with that.

A token's name is the *person* (or the program): two tokens of one name are one voice, which is what
counts when two distinct people must say yes. Names are therefore as strict as those in
``vagus.yaml``, where groups of approvers are made of them: ``Jo`` and ``jo`` can't be two.

Whoever can write the state can make a token, and so is an admin, whatever the API says.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Row, select, update

from vagus.errors import NotFound, StateError
from vagus.model import VAGUS, Principal, Role
from vagus.state import tables
from vagus.state.db import Database
from vagus.state.ledger import Ledger

_rows = tables.tokens

PREFIX = "vagus_"  # lets a scanner for leaked secrets know one when it sees it
SECRET_BYTES = 32
LONGEST = 128  # characters of a bearer token that are looked at at all
WORKFLOW = "tokens"  # under which they stand in the ledger

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token: everything but its secret."""

    id: str
    name: str
    role: Role
    created_at: float
    created_by: str
    expires_at: float | None = None
    revoked_at: float | None = None

    def valid(self, now: float) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def principal(self) -> Principal:
        return Principal(self.name, self.role)


@dataclass(frozen=True, slots=True)
class Created:
    """A new token, with the secret that nobody can show again."""

    token: Token
    secret: str = field(repr=False)  # a log or a traceback must not hold it


class Tokens:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._ledger = Ledger(database)

    def create(self, name: str, role: Role, by: str, lifetime: float | None = None) -> Created:
        """A token for ``name``, valid for ``lifetime`` seconds (None: until it is revoked).

        Raises StateError for a name that can't be one.
        """
        if not _NAME.fullmatch(name) or name == VAGUS:
            raise StateError(
                f"{name!r} can't be the name of a token",
                mend="name a person with a-z, 0-9, '.', '_' and '-'; 'vagus' is Vagus itself",
            )
        if lifetime is not None and lifetime <= 0:
            raise StateError("a token that never was valid is of no use", mend="such as 30d")
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        with self._database.write() as connection:
            now = self._database.clock.now()
            token = Token(
                id="tok-" + secrets.token_hex(6),
                name=name,
                role=role,
                created_at=now,
                created_by=by,
                expires_at=None if lifetime is None else now + lifetime,
            )
            connection.execute(
                _rows.insert().values(
                    id=token.id,
                    name=name,
                    role=role.name.lower(),
                    hash=_hash(secret),
                    created_at=now,
                    created_by=by,
                    expires_at=token.expires_at,
                )
            )
            facts = {"name": name, "role": role.name.lower(), "expires_at": token.expires_at}
            self._ledger.append(WORKFLOW, token.id, "token.created", {"by": by, **facts})
        return Created(token, secret)

    def find(self, secret: str) -> Token | None:
        """Whose secret this is, or None: unknown, expired and revoked ones are all the same."""
        if not secret.startswith(PREFIX) or len(secret) > LONGEST or not secret.isascii():
            return None
        wanted = _hash(secret)
        with self._database.read() as connection:
            row = connection.execute(select(_rows).where(_rows.c.hash == wanted)).one_or_none()
        if row is None or not hmac.compare_digest(str(row.hash), wanted):
            return None
        token = _token(row)
        return token if token.valid(self._database.clock.now()) else None

    def stands(self, token_id: str) -> bool:
        """Whether the token of this id is still valid: for what it opened and left open."""
        with self._database.read() as connection:
            row = connection.execute(select(_rows).where(_rows.c.id == token_id)).one_or_none()
        return row is not None and _token(row).valid(self._database.clock.now())

    def all(self) -> Sequence[Token]:
        """Every token there ever was, oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(_rows).order_by(_rows.c.created_at, _rows.c.id))
            return [_token(row) for row in rows]

    def revoke(self, token_id: str, by: str) -> Token:
        """Make it worthless from now on; a second time changes nothing.

        Raises NotFound if there is none of this id.
        """
        with self._database.write() as connection:
            wanted = select(_rows).where(_rows.c.id == token_id)
            row = connection.execute(wanted).one_or_none()
            if row is None:
                raise NotFound("there is no such token", where=token_id, mend="vagus token list")
            if row.revoked_at is None:
                now = self._database.clock.now()
                change = update(_rows).where(_rows.c.id == token_id).values(revoked_at=now)
                connection.execute(change)
                facts = {"by": by, "name": row.name}
                self._ledger.append(WORKFLOW, token_id, "token.revoked", facts)
            return _token(connection.execute(wanted).one())


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _token(row: Row[tuple[object, ...]]) -> Token:
    return Token(
        id=row.id,
        name=row.name,
        role=Role[row.role.upper()],
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
