"""The kill switch: a file, outside of the configuration that it guards.

It is a file so that anybody with a shell can set it while everything else is on fire, and so that
no reload, restart or bad configuration can unset it. What it holds is shown as the reason: write
who and why.
"""

from __future__ import annotations

from pathlib import Path


def stop_reason(path: Path) -> str | None:
    """Why everything is stopped, or None. A switch that can't be read counts as set."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        return f"{path} can't be read, which counts as set: {error.strerror}"
    return text.strip().partition("\n")[0][:200] or f"{path} exists and gives no reason"
