"""ProcessRuntime: orders to a supervisor that speaks a small HTTP API.

The API is the contract, so your own supervisor serves as well as the lab's::

    GET    /replicas                           {"replicas": {NAME: {"component", "address", ...}}}
    POST   /replicas/NAME/restart              {"token": T, "version": V if it changes}
    POST   /components/COMPONENT/replicas      {"token": T} -> {"name", "address", ...}
    DELETE /replicas/NAME                      {"token": T}

An order carries a token and is carried out once, however often it arrives. Orders need a bearer
token; it is read from its file each time, since a supervisor that starts anew makes a new one.

An order that can't be told to have arrived (silence, a connection that broke after sending) is
NotAcknowledged, never simply failed: the process may well have been restarted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import aiohttp

from vagus.adapters import http
from vagus.config import ProcessRuntime as ProcessSettings
from vagus.errors import ActionError, MalformedData, NotAcknowledged, TargetUnreachable
from vagus.model import Endpoint, Subject

ORDER_WITHIN = 8.0  # s; a process is given a second to end, and starting one takes less
ANSWER_WITHIN = 3.0  # s, for a question that changes nothing
LONGEST_ANSWER = 4 * 2**20  # bytes
LONGEST_REASON = 300  # characters of a reason that is passed on

_STATE = "start the supervisor, or correct runtime.process.supervisor in vagus.yaml"


class ProcessRuntime:
    """Implements :class:`~vagus.ports.Runtime`."""

    def __init__(
        self,
        settings: ProcessSettings,
        session: aiohttp.ClientSession,
        *,
        order_within: float = ORDER_WITHIN,
        answer_within: float = ANSWER_WITHIN,
    ) -> None:
        self._supervisor = settings.supervisor
        self._token_file = settings.token_file
        self._session = session
        self._order_within = order_within
        self._answer_within = answer_within

    async def restart(self, subject: Subject, token: str) -> None:
        await self._order("POST", f"/replicas/{quote(subject.replica, safe='')}/restart", token)

    async def deploy(self, subject: Subject, version: str, token: str) -> None:
        path = f"/replicas/{quote(subject.replica, safe='')}/restart"
        await self._order("POST", path, token, version=version)

    async def version(self, subject: Subject) -> str:
        row = (await self._replicas()).get(subject.replica)
        version = row.get("version") if isinstance(row, dict) else None
        return version if isinstance(version, str) else ""

    async def add(self, component: str, token: str) -> Endpoint:
        path = f"/components/{quote(component, safe='')}/replicas"
        answer = await self._order("POST", path, token)
        return _endpoint(answer, where=self._supervisor + path)

    async def remove(self, subject: Subject, token: str) -> None:
        await self._order("DELETE", f"/replicas/{quote(subject.replica, safe='')}", token)

    async def replicas(self, component: str) -> Mapping[str, str]:
        rows = (await self._replicas()).values()
        where = f"{self._supervisor}/replicas"
        found = [row for row in rows if _component(row) == component]
        return {e.replica: e.address for e in (_endpoint(row, where=where) for row in found)}

    async def _replicas(self) -> Mapping[str, object]:
        where = f"{self._supervisor}/replicas"
        try:
            answer = await self._send("GET", where, {}, None, self._answer_within)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(where, error, self._answer_within) from error
        rows = answer.get("replicas") if isinstance(answer, dict) else None
        if not isinstance(rows, dict):
            raise MalformedData("answers JSON without 'replicas'", where=where, mend=_STATE)
        return rows

    async def _order(self, method: str, path: str, token: str, **more: str) -> object:
        where = self._supervisor + path
        headers = _authorization(self._token_file)
        try:
            body = {"token": token, **more}
            return await self._send(method, where, headers, body, self._order_within)
        except aiohttp.ClientConnectorError as error:
            raise _unreachable(where, error, self._order_within) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or f"no answer within {self._order_within:g} s"
            raise NotAcknowledged(
                f"{token} was sent, but whether it was carried out is unknown: {reason}",
                where=where,
            ) from error

    async def _send(
        self,
        method: str,
        where: str,
        headers: Mapping[str, str],
        body: Mapping[str, str] | None,
        within: float,
    ) -> object:
        async with self._session.request(
            method,
            where,
            headers=headers,
            json=body,
            allow_redirects=False,  # the bearer token is for this address alone
            timeout=aiohttp.ClientTimeout(total=within),
        ) as response:
            if response.status >= 300:
                raise await _refusal(response, where)
            return await http.read_json(response, LONGEST_ANSWER)


def _authorization(token_file: Path | None) -> Mapping[str, str]:
    if token_file is None:
        return {}
    mend = "runtime.process.token_file must name the file that the supervisor wrote"
    try:
        token = token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a token"
        raise ActionError(f"can't be read: {reason}", where=str(token_file), mend=mend) from error
    if not token.isprintable() or not token:
        raise ActionError("holds no token", where=str(token_file), mend=mend)
    return {"Authorization": f"Bearer {token}"}


async def _refusal(response: aiohttp.ClientResponse, where: str) -> ActionError:
    """What the supervisor said against it, and what to do about that."""
    reason, mend = "", ""
    try:
        said = await http.read_json(response, LONGEST_ANSWER)
    except MalformedData:
        said = None
    if isinstance(said, dict):
        reason, mend = (str(said.get(key) or "")[:LONGEST_REASON] for key in ("error", "mend"))
    if response.status == 401:
        # Whose token it is says the supervisor; which file holds it, we know better.
        mend = "runtime.process.token_file must name the token of the supervisor that runs now"
    return ActionError(
        f"the supervisor refuses: {reason or response.reason} (HTTP {response.status})",
        where=where,
        mend=mend or "is runtime.process.supervisor the address of a supervisor?",
    )


def _unreachable(where: str, error: Exception, within: float) -> TargetUnreachable:
    reason = str(error) or f"no answer within {within:g} s"
    return TargetUnreachable(f"the supervisor does not answer: {reason}", where=where, mend=_STATE)


def _component(row: object) -> object:
    return row.get("component") if isinstance(row, dict) else None


def _endpoint(row: object, *, where: str) -> Endpoint:
    name, address = (row.get("name"), row.get("address")) if isinstance(row, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(address, str) or not name or not address:
        raise MalformedData("answers a replica without a name and an address", where=where)
    return Endpoint(name, address)
