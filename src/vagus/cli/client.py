"""Calls to the API of a running Vagus.

Whoever changes something while Vagus runs goes through its API, so that roles are checked and the
call stands in the ledger under a name. The secret of a token comes from the environment, never from
the command line, where every user of the machine could read it.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from vagus.config import Settings
from vagus.errors import ConfigError, VagusError

TOKEN, TOKEN_FILE = "VAGUS_TOKEN", "VAGUS_TOKEN_FILE"
TIMEOUT_S = 30.0


def call(
    settings: Settings, method: str, path: str, body: Mapping[str, object] | None = None
) -> Mapping[str, object] | None:
    """What the API answers to ``method path``, such as ``POST /v1/licences``; None if no Vagus runs
    here. Raises VagusError with the API's own words if it refuses."""
    address = f"http://{settings.api.host}:{settings.api.port}"
    if settings.api.port == 0 or not _answers(address):
        return None
    request = urllib.request.Request(  # noqa: S310  the address is of http and loopback
        address + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {_secret()}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            said: Mapping[str, object] = json.load(answer)
            return said
    except urllib.error.HTTPError as error:
        raise _refusal(error) from error
    except (OSError, ValueError) as error:
        raise VagusError(
            f"the API gave no answer: {error}", where=address, mend="look whether it was done"
        ) from error


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/healthz", timeout=TIMEOUT_S):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            return False
        raise VagusError(
            f"somebody listens there and does not answer: {error.reason}", where=address
        ) from error
    except OSError as error:
        raise VagusError(f"somebody listens there and hangs: {error}", where=address) from error


def _secret() -> str:
    if secret := os.environ.get(TOKEN, "").strip():
        return secret
    file = os.environ.get(TOKEN_FILE, "").strip()
    if not file:
        raise ConfigError(
            "Vagus runs, so this goes through its API, which needs a token",
            mend=f"set {TOKEN}, or {TOKEN_FILE} to a file; make one: vagus token create NAME",
        )
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't be read: {error}", where=file) from error


def _refusal(error: urllib.error.HTTPError) -> VagusError:
    """A problem of RFC 9457 as an error of ours."""
    try:
        problem = json.loads(error.read())
        detail, mend = str(problem["detail"]), str(problem.get("mend") or "")
        for mistake in problem.get("errors") or ():
            detail += f"; {mistake['where']}: {mistake['what']}"
    except (ValueError, KeyError, TypeError):
        detail, mend = f"answered {error.code}, and not as Vagus does", "is something else there?"
    return VagusError(detail, where=f"API ({error.code})", mend=mend)
