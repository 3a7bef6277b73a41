"""What a detector has learned as one block of bytes that tells whether it is whole.

A line that says what it is (format, version, length, checksum), then the columns as numpy writes
them, without pickles. What is not whole, not ours or of another version is refused by name: no
memory at all is better than a wrong one.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from vagus.errors import StateError


@dataclass(frozen=True)
class Seal:
    """One kind of snapshot."""

    magic: bytes
    version: int
    what: str
    """What it is of, as a user says it."""

    def close(self, columns: Mapping[str, NDArray[np.generic]]) -> bytes:
        """The block that holds ``columns``."""
        buffer = io.BytesIO()
        np.savez(buffer, **columns)  # type: ignore[arg-type]  # its keyword is not an array
        body = buffer.getvalue()
        digest = hashlib.sha256(body).hexdigest().encode()
        return b"%s %d %d %s\n%s" % (self.magic, self.version, len(body), digest, body)

    def open(self, data: bytes) -> NpzFile:
        """The columns of a block. Raises StateError if it is damaged, another's or too new."""
        columns: NpzFile = np.load(io.BytesIO(self._body(data)), allow_pickle=False)
        return columns

    def _body(self, data: bytes) -> bytes:
        head, _, body = data.partition(b"\n")
        fields = head.split(b" ")
        if len(fields) != 4 or fields[0] != self.magic or not fields[1].isdigit():
            raise StateError(f"this is no snapshot of {self.what}")
        if int(fields[1]) != self.version:
            raise StateError(
                f"the snapshot is of version {int(fields[1])}, this Vagus reads {self.version}",
                mend="upgrade Vagus, or let it learn again",
            )
        digest = hashlib.sha256(body).hexdigest().encode()
        if fields[2] != b"%d" % len(body) or fields[3] != digest:
            raise StateError(f"the snapshot of {self.what} is damaged")
        return body
