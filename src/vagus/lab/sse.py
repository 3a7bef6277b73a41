"""Server-sent events, read strictly.

A browser skips what it doesn't understand in an event stream; that is how garbage passes for an
empty answer. Whoever measures a stack, or depends on one, wants to know: here every line is a field
of the specification, every event is complete, and everything else is a :class:`BadStream`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass

CONTENT_TYPE = "text/event-stream"
_FIELDS = ("data", "event", "id", "retry")
_LONGEST_LINE = 1 << 20


class BadStream(Exception):
    """What came is not an event stream, or not all of one; the message says why."""


@dataclass(frozen=True)
class Event:
    """One event; ``name`` is ``message`` unless the stream says otherwise."""

    data: str
    name: str = "message"

    def encode(self) -> bytes:
        head = "" if self.name == "message" else f"event: {self.name}\n"
        body = "".join(f"data: {line}\n" for line in self.data.split("\n"))
        return f"{head}{body}\n".encode()


async def events(chunks: AsyncIterable[bytes]) -> AsyncIterator[Event]:
    """The events of a body that arrives in chunks cut anywhere.

    Raises :class:`BadStream`, also for an event that the body's end cuts off.
    """
    name, data = "message", list[str]()
    async for line in _lines(chunks):
        if not line:
            if data:
                yield Event("\n".join(data), name)
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field and field not in _FIELDS:
            raise BadStream(f"not a line of an event stream: {line[:40]!r}")
    if data:
        raise BadStream("the stream ended within an event")


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[str]:
    pending = b""
    async for chunk in chunks:
        *complete, pending = (pending + chunk).split(b"\n")
        for raw in complete:
            yield _decoded(raw.removesuffix(b"\r"))
        if len(pending) > _LONGEST_LINE:
            raise BadStream("a line without an end")
    if pending:
        yield _decoded(pending)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadStream("not text") from error
