"""What an answer of each kind of component looks like from outside, without reading it.

A proxy's own page, a captive portal or a crashed worker's placeholder all come with status 200 and
at once, which is why balancers love them. The content type gives them away; so does nothing at all.
"""

from __future__ import annotations

from vagus.config import Kind
from vagus.model import Attempt

_JSON = frozenset(
    {"application/json", "text/event-stream", "application/x-ndjson", "application/problem+json"}
)
_ANSWERS = {
    Kind.MODEL_SERVER: _JSON,
    Kind.EMBEDDING_SERVER: _JSON,
    Kind.PIPELINE: _JSON,
}
_SERVICE_PATHS = ("/health", "/ready", "/live", "/metrics", "/docs", "/version", "/favicon")
"""Answered by such servers beside their work, in any type."""


def misshapen(row: Attempt, kind: Kind | None) -> str:
    """What is wrong with the shape of a successful answer, in words; "" if nothing is."""
    right = _ANSWERS.get(kind) if kind is not None else None
    if right is None or row.status != 200 or row.path.startswith(_SERVICE_PATHS):
        return ""
    if row.received_bytes == 0:
        return "an empty body"
    content_type = row.content_type.partition(";")[0].strip().lower()
    if content_type and content_type not in right:
        return content_type
    return ""
