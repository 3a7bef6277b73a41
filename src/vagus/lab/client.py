"""How a program talks to the lab's supervisor."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from vagus.errors import LabError
from vagus.lab.api import Health
from vagus.lab.settings import LabSettings, url
from vagus.lab.status import ReplicaStatus

_TIMEOUT = aiohttp.ClientTimeout(total=15)


class SupervisorClient:
    """One supervisor; an asynchronous context that keeps a connection.

    Orders take a ``token``, any string that names this one order: repeating an order with its token
    does nothing and gives the first answer again. Every method raises
    :class:`~vagus.errors.LabError` when the supervisor refuses or doesn't answer.
    """

    def __init__(self, base_url: str, token_file: Path) -> None:
        self._base_url = base_url
        self._token_file = token_file
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    def of(cls, settings: LabSettings) -> SupervisorClient:
        return cls(url(settings.supervisor_port), settings.token_file)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def health(self) -> Health:
        """How far the lab is."""
        answer = await self._call("GET", "/healthz")
        try:
            return Health(**answer)  # type: ignore[arg-type]
        except TypeError as error:
            raise LabError("not the lab's supervisor", where=self._base_url) from error

    async def replicas(self) -> dict[str, ReplicaStatus]:
        """Everything that the supervisor keeps, by name."""
        replicas = (await self._call("GET", "/replicas")).get("replicas")
        if not isinstance(replicas, dict):
            raise LabError("not the lab's supervisor", where=self._base_url)
        return {name: ReplicaStatus.from_json(status) for name, status in replicas.items()}

    async def replica(self, name: str) -> ReplicaStatus:
        return ReplicaStatus.from_json(await self._call("GET", f"/replicas/{name}"))

    async def restart(self, name: str, token: str, version: str | None = None) -> ReplicaStatus:
        """End a replica and start it anew, as ``version`` if one is given; answers once it is
        started, not when it is ready."""
        order: dict[str, object] = {"token": token}
        if version is not None:
            order["version"] = version
        return ReplicaStatus.from_json(await self._call("POST", f"/replicas/{name}/restart", order))

    async def add(self, component: str, token: str) -> ReplicaStatus:
        """Start one more replica of ``component``."""
        path = f"/components/{component}/replicas"
        return ReplicaStatus.from_json(await self._call("POST", path, {"token": token}))

    async def remove(self, name: str, token: str) -> None:
        """End a replica for good."""
        await self._call("DELETE", f"/replicas/{name}", {"token": token})

    async def fault(self, name: str, fault: str | None, **parameters: float | int) -> ReplicaStatus:
        """Break a replica: ``kill``, ``stop``, ``cont``, a hop's fault, or ``None`` to behave."""
        order: dict[str, object] = {"fault": fault, **parameters}
        return ReplicaStatus.from_json(await self._call("POST", f"/replicas/{name}/fault", order))

    async def shutdown(self) -> None:
        """Order the end of the whole lab; it is not over yet when this returns."""
        await self._call("POST", "/shutdown", {})

    async def _call(
        self, method: str, path: str, body: dict[str, object] | None = None
    ) -> dict[str, object]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        headers = {} if body is None else {"Authorization": f"Bearer {self._secret()}"}
        try:
            async with self._session.request(
                method, self._base_url + path, json=body, headers=headers
            ) as response:
                answer = await response.json()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise LabError(
                f"the lab's supervisor does not answer: {error or type(error).__name__}",
                where=self._base_url,
                mend="is the lab up? vagus lab status",
            ) from error
        if not isinstance(answer, dict):
            raise LabError("not the lab's supervisor", where=self._base_url)
        if response.status != 200:
            message, mend = str(answer.get("error")), str(answer.get("mend", ""))
            raise LabError(message, where=f"{method} {path}", mend=mend)
        return answer

    def _secret(self) -> str:
        try:
            return self._token_file.read_text(encoding="ascii").strip()
        except OSError as error:
            raise LabError(
                f"the supervisor's token can't be read: {error.strerror}",
                where=str(self._token_file),
                mend="is the lab up, and is it yours? vagus lab status",
            ) from error
