"""A page of many: as many as were asked for, and the cursor of those that follow.

A cursor says *after what*, never *how many*: what is added while somebody reads moves nothing.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

MOST = 200

_ID = r"^[A-Za-z0-9._:-]+$"

Limit = Annotated[int, Query(ge=1, le=MOST, description="items of a page")]
Cursor = Annotated[
    str | None, Query(max_length=200, pattern=_ID, description="`next` of the page before")
]
Id = Annotated[str, Path(max_length=200, pattern=_ID)]
