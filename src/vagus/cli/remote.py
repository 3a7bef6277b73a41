"""How commands speak to a running Vagus: its API, with the token of whoever sits at the shell.

A token comes from a file or from the environment, never from the command line, where every user of
the machine could read it in the list of processes; and never from a file that others can read.
"""

from __future__ import annotations

import json
import os
import stat
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vagus.config import Settings
from vagus.errors import ConfigError, TargetUnreachable, VagusError

TIMEOUT = 10.0  # s; an answer takes milliseconds
VARIABLE = "VAGUS_TOKEN"

# A loopback address is never behind a proxy, whatever the environment says.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(VagusError):
    """A running Vagus answered, and said no."""

    def __init__(self, status: int, message: str, *, where: str, mend: str = "") -> None:
        super().__init__(message, where=where, mend=mend)
        self.status = status


class Remote:
    """The API of the Vagus that these settings describe."""

    def __init__(self, settings: Settings, token_file: Path | None = None) -> None:
        host = f"[{settings.api.host}]" if ":" in settings.api.host else settings.api.host
        self.address = f"http://{host}:{settings.api.port}"
        self._token_file = token_file

    def get(self, *path: str, **query: str) -> Any:
        return self._call("GET", path, query=query)

    def post(self, *path: str, body: Mapping[str, object]) -> Any:
        return self._call("POST", path, body=body)

    def put(self, *path: str, body: Mapping[str, object]) -> Any:
        return self._call("PUT", path, body=body)

    def delete(self, *path: str) -> Any:
        return self._call("DELETE", path)

    def _call(
        self,
        method: str,
        path: tuple[str, ...],
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> Any:
        """The JSON that is answered.

        Raises TargetUnreachable if nobody listens, Refused with what Vagus said, and ConfigError
        without a token.
        """
        url = "/".join([self.address, "v1", *(urllib.parse.quote(part, safe=":") for part in path)])
        if query:
            url += "?" + urllib.parse.urlencode(query)
        headers = {"Authorization": f"Bearer {read_token(self._token_file)}"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - http only
        try:
            with _OPENER.open(request, timeout=TIMEOUT) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise _refused(error, self.address) from error
        except (OSError, ValueError) as error:
            raise TargetUnreachable(
                "no running Vagus answers", where=self.address, mend="start one: vagus run"
            ) from error


def read_token(file: Path | None) -> str:
    """From ``file``, else from $VAGUS_TOKEN, else from ``~/.config/vagus/token``.

    Raises ConfigError if there is none, or others can read the file.
    """
    if file is None:
        given = os.environ.get(VARIABLE, "").strip()
        if given:
            return given
        file = Path.home() / ".config" / "vagus" / "token"
        if not file.exists():
            raise ConfigError(
                "this needs a token",
                mend=f"vagus token create NAME --role approver --out {file}",
            )
    try:
        with file.open(encoding="ascii") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            token = opened.read(1024).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"holds no token that can be read: {error}", where=str(file)) from error
    if mode & 0o077:
        raise ConfigError("others can read this token", where=str(file), mend=f"chmod 600 {file}")
    if not token or any(c.isspace() for c in token):
        raise ConfigError("holds no token", where=str(file), mend="one line with the secret")
    return token


def _refused(error: urllib.error.HTTPError, address: str) -> Refused:
    try:
        problem = json.loads(error.read(65536))
        detail, mend = str(problem["detail"]), str(problem.get("mend", ""))
    except (OSError, ValueError, KeyError, TypeError):
        detail, mend = f"answered {error.code}, and not as Vagus does", "look at api.port"
    return Refused(error.code, detail, where=address, mend=mend)
