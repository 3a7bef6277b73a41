"""Every route that changes something, by every role: as declared, or not at all."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import pytest
from sqlalchemy import select

from vagus.model import Role
from vagus.state import tables
from vagus.state.db import Database
from vagus.testing.office import ROLES, Office

CHANGES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Call:
    method: str
    path: str  # as the route declares it
    role: Role  # the least that may
    body: dict[str, object] | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


MODE = "/v1/mode"
CALLS = [
    Call("PUT", MODE, Role.OPERATOR, {"mode": "off", "reason": "noise"}),
    Call("DELETE", MODE, Role.OPERATOR),
    Call("PUT", "/v1/kill-switch", Role.OPERATOR, {"reason": "noise"}),
    Call("DELETE", "/v1/kill-switch", Role.ADMIN),
    Call("POST", "/v1/proposals/{proposal_id}/answers", Role.APPROVER, {"yes": True}),
    Call(
        "POST",
        "/v1/licences",
        Role.ADMIN,
        {"action": "restart", "component": "chat", "days": 1, "reason": "drills"},
    ),
    Call("POST", "/v1/licences/{licence_id}/revocation", Role.ADMIN, {"reason": "worse"}),
    Call(
        "POST",
        "/v1/rollouts",
        Role.OPERATOR,
        {"component": "chat", "version": "v2", "previous": "v1", "replicas": ["chat-2"]},
    ),
    Call("POST", "/v1/rollouts/{rollout_id}/end", Role.OPERATOR, {"verdict": "promoted"}),
    Call(
        "POST",
        "/v1/injections",
        Role.OPERATOR,
        {
            "experiment": "exp-1",
            "fault": "kill",
            "target": "chat/chat-2",
            "does": "SIGKILL to process group 7",
            "lease": 60.0,
            "cap": 0.5,
        },
    ),
    Call("POST", "/v1/injections/{injection_id}/end", Role.OPERATOR, {"verdict": "passed"}),
]
RISE = Call("PUT", MODE, Role.ADMIN, {"mode": "auto", "reason": "trust"})


def test_no_route_is_forgotten(office: Office) -> None:
    described = office.app.openapi()["paths"]
    found = {
        f"{method.upper()} {path}": operation["x-role"]
        for path, operations in described.items()
        for method, operation in operations.items()
        if method.upper() in CHANGES
    }
    assert found == {str(call): call.role.name.lower() for call in CALLS}


def test_every_route_below_v1_says_its_role(office: Office) -> None:
    for path, operations in office.app.openapi()["paths"].items():
        for method, operation in operations.items():
            guarded = path.startswith("/v1/")
            assert ("x-role" in operation) == guarded, (method, path)
            assert ("security" in operation) == guarded, (method, path)


def everything(database: Database) -> dict[str, list[object]]:
    """All that is kept, but for the ledger, which tells of refusals too."""
    with database.read() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table))]
            for table in tables.metadata.sorted_tables
            if table is not tables.ledger
        }


@pytest.mark.parametrize("who", [*ROLES, None])
async def test_every_change_by_every_role(
    office: Office, database: Database, who: str | None
) -> None:
    licence, rollout = office.licence().id, office.rollout("embed").id
    injection = office.injection().id
    for rung, call in enumerate((*CALLS, RISE)):
        proposal = office.proposal(rung=rung).id
        path = call.path.format(
            proposal_id=proposal, licence_id=licence, rollout_id=rollout, injection_id=injection
        )
        before = everything(database), list(office.woken)
        said = len(office.told())
        async with office.client(who) as client:
            answer = await client.request(call.method, path, json=call.body)
        allowed = who is not None and Role[who.upper()] >= call.role
        expected = "2xx" if allowed else ("403" if who else "401")
        assert expected in (str(answer.status_code), f"{answer.status_code // 100}xx"), str(call)
        if not allowed:
            after = everything(database), list(office.woken)
            assert after == before, str(call)
        told = office.told()[said:]
        if who is None:
            assert told == [], str(call)
        else:
            result = "done" if allowed else "refused (403)"
            assert [(t["by"], t["result"]) for t in told] == [(who, result)], str(call)
        if call.path == MODE:
            await _as_admin(office, Call("DELETE", MODE, Role.ADMIN))


async def _as_admin(office: Office, call: Call) -> httpx.Response:
    async with office.client("admin") as client:
        return await client.request(call.method, call.path, json=call.body)
