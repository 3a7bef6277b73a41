"""Who changed what: each call that would change something, in the ledger, with its result.

What was done is written in one transaction with the entry that says who did it
(:func:`changing`): there is no change without its author, and no author of what did not happen.
What was refused, for whatever reason, is told before the refusal is answered (:class:`Audit`).
Calls without a valid token change nothing and are counted, not told: else a stranger could fill the
ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog
from starlette.types import Message, Scope, Send

from vagus.api.served import Served
from vagus.errors import StateError
from vagus.state.ledger import Ledger
from vagus.state.tokens import Token

log = structlog.get_logger()

T = TypeVar("T")

WORKFLOW = "api"  # under which calls stand in the ledger


class Audit:
    """Tells of the refusals of one call."""

    def __init__(self, served: Served, token: Token, scope: Scope) -> None:
        self._served = served
        self._token = token
        self._scope = scope

    def watching(self, send: Send) -> Send:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                await asyncio.to_thread(self._refused, message["status"])
            await send(message)

        return watched

    def _refused(self, status: int) -> None:
        why = self._scope["state"].get("why", "")
        call = f"{self._scope['method']} {self._scope['path']}"[:200]
        try:
            with self._served.transaction():
                note = str(why)[:500]
                _append(self._served.ledger, self._token, call, f"refused ({status})", note)
        except StateError as error:  # the caller is refused all the same
            log.error("api.audit", call=call, status=status, error=str(error))  # noqa: TRY400


def changing(served: Served, token: Token, call: str, work: Callable[[], T], note: str = "") -> T:
    """Do ``work`` and tell that ``token``'s person did it: both, or neither. ``call`` says in words
    what is done. Raises what ``work`` raises, and nothing is written then."""
    with served.transaction():
        result = work()
        _append(served.ledger, token, call, "done", note)
        return result


def _append(ledger: Ledger, token: Token, call: str, result: str, note: str) -> None:
    facts = {
        "by": token.name,
        "role": token.role.name.lower(),
        "token": token.id,
        "call": call,
        "result": result,
        "note": note,
    }
    # The same call again is another call: the next number keeps them apart.
    ledger.append(WORKFLOW, f"call:{ledger.head().seq + 1}:{token.id}", "called", facts)
