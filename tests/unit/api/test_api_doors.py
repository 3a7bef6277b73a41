"""What can be read without a token, and what no request passes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from vagus.api import doors
from vagus.api.limits import KEPT, Limits
from vagus.clock import ManualClock
from vagus.model import Role
from vagus.snapshot import Snapshot
from vagus.state.db import Database
from vagus.testing.office import Office, furnish, settings_for


def is_problem(answer: httpx.Response, status: int) -> bool:
    body = answer.json()
    return (
        answer.status_code == status
        and answer.headers["content-type"] == "application/problem+json"
        and body["status"] == status
        and bool(body["detail"])
        and body["type"] == "about:blank"
    )


async def test_health_status_and_metrics_need_no_token(nobody: httpx.AsyncClient) -> None:
    health = await nobody.get("/healthz")
    assert health.json() == {"ok": True, "mode": "suggest", "senses_trusted": True}
    status = (await nobody.get("/status")).json()
    assert status["replicas"][0]["subject"] == {"component": "chat", "replica": "chat-2"}
    metrics = await nobody.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    families = {f.name: f for f in text_string_to_metric_families(metrics.text)}
    assert families["vagus_ticks"].samples[0].value == 3.0
    assert families["vagus_ticks"].documentation == "Ticks of the loop."


# --- host -----------------------------------------------------------------------------------------


async def test_loopback_has_its_names(nobody: httpx.AsyncClient) -> None:
    for host in ("127.0.0.1", "127.0.0.1:9190", "localhost:1", "LOCALHOST", "[::1]:9190"):
        assert (await nobody.get("/healthz", headers={"Host": host})).status_code == 200, host


async def test_a_name_that_was_rebound_is_refused(
    office: Office, nobody: httpx.AsyncClient
) -> None:
    for host in ("evil.example", "evil.example:9190", "127.0.0.1.evil.example", "", "localhost@e"):
        for path in ("/status", "/v1/incidents", "/openapi.json"):
            headers = {"Host": host, **office.headers("admin")}
            assert is_problem(await nobody.get(path, headers=headers), 421), (host, path)


async def test_a_proxy_s_name_can_be_declared(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    office = furnish(database, clock, settings_for(tmp_path, hosts=["Vagus.example"]))
    async with office.client() as client:
        headers = {"Host": "vagus.example:443"}
        assert (await client.get("/healthz", headers=headers)).status_code == 200


async def test_nothing_is_said_to_other_origins(nobody: httpx.AsyncClient) -> None:
    answer = await nobody.get("/status", headers={"Origin": "http://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
    assert (await nobody.options("/v1/mode", headers=asked)).status_code == 401


# --- tokens ---------------------------------------------------------------------------------------

UNKNOWN: list[dict[str, str]] = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Basic YWRtaW46YWRtaW4="},
    {"Authorization": "Bearer vagus_" + "A" * 43},
    {"Authorization": "Bearer eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJyb2xlIjoiYWRtaW4ifQ."},
    {"Authorization": "Bearer eyJhbGciOiJub25lIn0.eyJuYW1lIjoiYWRtaW4iLCJyb2xlIjo0fQ.c2ln"},
    {"Authorization": "Bearer vagus_eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ."},
]


async def test_who_is_not_known_learns_nothing(nobody: httpx.AsyncClient) -> None:
    for headers in UNKNOWN:
        for path in ("/v1/incidents", "/v1/nothing", "/v1"):
            answer = await nobody.get(path, headers=headers)
            assert is_problem(answer, 401), (headers, path)
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_body_of_a_stranger_is_not_looked_into(nobody: httpx.AsyncClient) -> None:
    assert is_problem(await nobody.put("/v1/mode", content=b"{broken"), 401)


async def test_a_token_in_the_address_is_none(office: Office, nobody: httpx.AsyncClient) -> None:
    secret = office.secrets["admin"]
    for name in ("token", "access_token", "authorization"):
        assert is_problem(await nobody.get("/v1/mode", params={name: secret}), 401)


async def test_two_tokens_at_once_are_none(office: Office, nobody: httpx.AsyncClient) -> None:
    two = [("Authorization", f"Bearer {office.secrets[who]}") for who in ("viewer", "admin")]
    assert is_problem(await nobody.get("/v1/mode", headers=two), 401)


async def test_expired_and_revoked_tokens_are_unknown_ones(
    office: Office, nobody: httpx.AsyncClient, clock: ManualClock
) -> None:
    tokens = office.served.tokens
    short = tokens.create("jo", Role.ADMIN, "test", lifetime=60.0)
    gone = tokens.create("jo", Role.ADMIN, "test")

    async def status(secret: str) -> int:
        headers = {"Authorization": f"Bearer {secret}"}
        return (await nobody.get("/v1/mode", headers=headers)).status_code

    assert [await status(short.secret), await status(gone.secret)] == [200, 200]
    clock.advance(61.0)
    tokens.revoke(gone.token.id, "test")
    assert [await status(short.secret), await status(gone.secret)] == [401, 401]


async def test_what_is_not_there_is_a_problem(viewer: httpx.AsyncClient) -> None:
    assert is_problem(await viewer.get("/v1/nothing"), 404)
    assert is_problem(await viewer.get("/v1/incidents/"), 404)
    assert is_problem(await viewer.get("/nothing"), 404)
    assert is_problem(await viewer.patch("/v1/mode"), 405)
    assert is_problem(await viewer.post("/healthz"), 405)


# --- size and rate --------------------------------------------------------------------------------


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    operator: httpx.AsyncClient,
) -> None:
    body = json.dumps({"reason": "x" * doors.LARGEST_BODY})
    assert is_problem(await operator.put("/v1/kill-switch", content=body), 413)


async def test_a_body_without_a_length_is_counted(operator: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 1024
        raise AssertionError("it is read no further than it has to be")

    assert is_problem(await operator.put("/v1/kill-switch", content=endless()), 413)


async def test_a_length_that_is_none_is_refused(operator: httpx.AsyncClient) -> None:
    headers = {"Content-Length": "-1"}
    answer = await operator.put("/v1/kill-switch", content=b"{}", headers=headers)
    assert is_problem(answer, 413)


async def test_each_token_has_its_own_rate(
    database: Database, clock: ManualClock, tmp_path: Path
) -> None:
    office = furnish(database, clock, settings_for(tmp_path, rate="3 per second"))
    async with office.client() as client:

        async def asks(who: str | None, path: str = "/v1/mode") -> int:
            return (await client.get(path, headers=office.headers(who))).status_code

        assert [await asks("viewer") for _ in range(4)] == [200, 200, 200, 429]
        answer = await client.get("/v1/mode", headers=office.headers("viewer"))
        assert is_problem(answer, 429)
        assert answer.headers["retry-after"] == "1"
        assert await asks("admin") == 200  # somebody else
        # A guesser keeps nobody with a token out, nor a watchdog from its look.
        assert [await asks(None) for _ in range(4)] == [401, 401, 401, 429]
        assert await asks("admin") == 200
        assert [await asks(None, "/healthz") for _ in range(4)] == [200, 200, 200, 429]
        clock.advance(0.4)
        assert [await asks("viewer"), await asks("viewer")] == [200, 429]


def test_a_flood_of_strangers_is_no_flood_of_memory(clock: ManualClock) -> None:
    limits = Limits(clock, count=1.0, period=1.0)
    for number in range(KEPT * 2):
        limits.wait(str(number))
    assert len(limits._buckets) == KEPT
    assert limits.wait("0") == 0.0


def test_a_bucket_never_holds_more_than_its_burst(clock: ManualClock) -> None:
    limits = Limits(clock, count=2.0, period=1.0)
    clock.advance(3600.0)
    assert [limits.wait("a") > 0 for _ in range(3)] == [False, False, True]
    clock.advance(3600.0)
    assert [limits.wait("a") > 0 for _ in range(3)] == [False, False, True]


# --- when things break ----------------------------------------------------------------------------


async def test_without_its_ledger_nothing_is_changed(
    office: Office, operator: httpx.AsyncClient, database: Database
) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE ledger RENAME TO ledger_away")
    answer = await operator.put("/v1/kill-switch", json={"reason": "now"})
    assert is_problem(answer, 503)
    assert "ledger" not in answer.text  # the log says what is broken, not the answer
    assert answer.headers["retry-after"]
    assert office.served.controls.stop() is None


async def test_who_can_t_be_looked_up_is_not_let_in(
    operator: httpx.AsyncClient, database: Database
) -> None:
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE tokens RENAME TO tokens_away")
    assert is_problem(await operator.get("/v1/mode"), 503)


async def test_a_mistake_of_ours_is_logged_and_not_shown(office: Office) -> None:
    def breaks() -> Snapshot:
        raise RuntimeError("password=hunter2")

    office.app.state.served = replace(office.served, snapshot=breaks)
    transport = httpx.ASGITransport(office.app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/status")
    assert is_problem(answer, 500)
    assert "hunter2" not in answer.text
