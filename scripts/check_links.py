"""Checks that every relative link in the Markdown files leads somewhere.

    python scripts/check_links.py

A link may name a file or a folder, and a heading in it (`page.md#heading`). Links to other hosts
are not followed: a check that needs the network is red for reasons of its own.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent
_LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?[^)]*\)|(?:src|href)=\"([^\"]+)\"")
_CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


def main() -> int:
    broken = [error for page in _pages() for error in broken_links(page)]
    for error in broken:
        print(error)
    return 1 if broken else 0


def broken_links(page: Path) -> Iterator[str]:
    """What is wrong with the links of ``page``, a line each."""
    text = page.read_text(encoding="utf-8")
    prose = _CODE.sub(lambda code: re.sub(r"[^\n]", " ", code[0]), text)
    for found in _LINK.finditer(prose):
        link = urlsplit(found[1] or found[2])
        if link.scheme or link.netloc:
            continue
        line = text.count("\n", 0, found.start()) + 1
        target = (page.parent / unquote(link.path)).resolve() if link.path else page
        shown = f"{page.relative_to(ROOT)}:{line}: {found[1] or found[2]}"
        if not target.exists() or not target.is_relative_to(ROOT):
            yield f"{shown}: no such file"
        elif link.fragment and link.fragment not in _anchors(target):
            yield f"{shown}: no such heading"


def _anchors(page: Path) -> set[str]:
    """The names by which the headings of ``page`` can be linked, as forges make them."""
    if page.suffix != ".md":
        return set()
    text = re.sub(r"^(```|~~~).*?^\1", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = (re.sub(r"[`*]", "", heading) for heading in _HEADING.findall(text))
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def _pages() -> list[Path]:
    """Every Markdown file that is, or would be, in the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(ROOT / name for name in set(listed.stdout.split("\n")) if name)


if __name__ == "__main__":
    sys.exit(main())
