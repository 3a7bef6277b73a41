"""The supervisor that keeps a stack's processes, as faults and their undo speak to it.

Plain and synchronous, with the standard library alone: the reaper, which must start fast and run
when little else does, uses it too. It is the same small HTTP API through which Vagus restarts
replicas (:mod:`vagus.adapters.process.supervisor`), and two orders more that a supervisor made for
breaking things may know: ``POST /replicas/NAME/fault``.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vagus.errors import ChaosError

WITHIN = 8.0  # s; a process is given a second to end, and starting one takes less

# A loopback address is never behind a proxy, whatever the environment says.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NoSuchReplica(ChaosError):
    """The supervisor does not keep a replica of this name (any more)."""


class Supervisor:
    def __init__(self, address: str, token_file: str) -> None:
        self.address = address
        self._token_file = token_file

    def replicas(self) -> Mapping[str, Mapping[str, Any]]:
        """What it keeps, by name: ``component``, ``pid``, ``state``, ``generation`` ..."""
        rows = self._call("GET", "/replicas").get("replicas")
        if not isinstance(rows, dict):
            raise ChaosError("answers without 'replicas'", where=self.address)
        return rows

    def replica(self, name: str) -> Mapping[str, Any]:
        return self._call("GET", f"/replicas/{quote(name, safe='')}")

    def restart(self, name: str, token: str, version: str | None = None) -> Mapping[str, Any]:
        """Once for each ``token``, however often it is sent."""
        order: dict[str, object] = {"token": token}
        if version is not None:
            order["version"] = version
        return self._call("POST", f"/replicas/{quote(name, safe='')}/restart", order)

    def misbehave(self, name: str, order: Mapping[str, object]) -> Mapping[str, Any]:
        """``{"fault": NAME, PARAMETER: VALUE}``, or ``{"fault": None}`` to behave."""
        return self._call("POST", f"/replicas/{quote(name, safe='')}/fault", order)

    def _call(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        where = self.address + path
        headers, data = {}, None
        if body is not None:
            headers["Content-Type"] = "application/json"
            headers |= self._authorization()
            data = json.dumps(dict(body)).encode()
        request = urllib.request.Request(where, data, headers, method=method)  # noqa: S310
        try:
            with _OPENER.open(request, timeout=WITHIN) as answer:
                read = json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error, where) from error
        except (OSError, ValueError) as error:
            raise ChaosError(f"the supervisor does not answer: {error}", where=where) from error
        if not isinstance(read, dict):
            raise ChaosError("answers, but not as a supervisor does", where=where)
        return read

    def _authorization(self) -> Mapping[str, str]:
        if not self._token_file:
            return {}
        try:
            token = Path(self._token_file).read_text(encoding="ascii").strip()
        except OSError as error:
            raise ChaosError(f"can't be read: {error.strerror}", where=self._token_file) from error
        return {"Authorization": f"Bearer {token}"}


def _refusal(error: urllib.error.HTTPError, where: str) -> ChaosError:
    try:
        said = json.loads(error.read(65536))
        reason, mend = str(said["error"]), str(said.get("mend", ""))
    except (OSError, ValueError, KeyError, TypeError):
        reason, mend = f"HTTP {error.code}", ""
    kind = NoSuchReplica if error.code == 404 else ChaosError
    return kind(f"the supervisor refuses: {reason}", where=where, mend=mend)
