"""The kill switch: a file, outside of the configuration that it guards.

It is a file so that anybody with a shell can set it while everything else is on fire, and so that
no reload, restart or bad configuration can unset it. Its first line says who and why::

    Ada: migration until 14:00

(``echo 'Ada: migration until 14:00' > vagus.stop``). A file that says neither counts all the same.
"""

from __future__ import annotations

from pathlib import Path

from vagus.model import Stop

LONGEST_OWNER = 60  # characters before the colon; what is longer is a sentence with a colon in it
LONGEST_REASON = 200


def stop_file(path: Path) -> Stop | None:
    """Who stopped everything and why, or None. A switch that can't be read counts as set."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        return Stop("", f"{path} can't be read, which counts as set: {error.strerror}")
    line = text.strip().partition("\n")[0].strip()
    owner, colon, reason = line.partition(": ")
    if not colon or len(owner) > LONGEST_OWNER:
        owner, reason = "", line
    return Stop(owner.strip(), reason.strip()[:LONGEST_REASON] or f"{path} gives no reason")
