"""W3C trace context, as far as a service has to take part in it.

A service passes the trace on with an id of its own in the parent's place, and begins a trace if its
caller had none or an invalid one (Trace Context, level 1).
"""

from __future__ import annotations

import re
import secrets

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def passed_on(traceparent: str | None) -> str:
    """The ``traceparent`` to send to the next hop, given the one that was received."""
    trace, flags = _parsed(traceparent or "") or (secrets.token_hex(16), "01")
    return f"00-{trace}-{secrets.token_hex(8)}-{flags}"


def _parsed(traceparent: str) -> tuple[str, str] | None:
    """Trace id and flags; ``None`` if the header has to be treated as absent."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace, parent, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not (int(trace, 16) and int(parent, 16)):
        return None
    return trace, flags
