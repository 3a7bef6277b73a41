"""Protobuf's wire format, as far as it takes to find the parts of a message.

Two formats are read by where their numbers stand instead of as objects; both need the same walk.
"""

from __future__ import annotations

from collections.abc import Iterator

from vagus.errors import MalformedData

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}


def parts(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field, begin, end) of each part between ``at`` and ``end``; a varint is (-field, its value,
    end). Raises MalformedData."""
    while at < end:
        tag, at = varint(data, at, end)
        kind = tag & 7
        if kind == _VARINT:
            value, at = varint(data, at, end)
            yield -(tag >> 3), value, at
            continue
        if kind == _BYTES:
            size, at = varint(data, at, end)
        elif kind in _SIZES:
            size = _SIZES[kind]
        else:
            raise MalformedData(f"is no protobuf: wire type {kind} at byte {at}")
        if size > end - at:
            raise MalformedData(f"is cut off at byte {at}")
        yield tag >> 3, at, at + size
        at += size


def varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """(value, where it ends). Raises MalformedData."""
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
    raise MalformedData(f"is no protobuf: a varint without end at byte {at}")


def text(data: bytes, begin: int, end: int) -> str:
    """Raises MalformedData."""
    try:
        return data[begin:end].decode()
    except UnicodeDecodeError as error:
        raise MalformedData(f"is not UTF-8: {error.reason} at byte {begin}") from error
