"""The ledger: page by page, its head, and as it is written.

The head is there to be fetched and kept elsewhere: whoever can write the state can compute a new
chain, and only a head that lies out of reach proves against that.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from vagus.api.access import Works, needs
from vagus.api.pages import Limit
from vagus.api.views.basics import Page
from vagus.api.views.ledger import EntryView, HeadView
from vagus.model import Role

router = APIRouter(prefix="/ledger", tags=["ledger"])

After = Annotated[
    int, Query(ge=0, le=2**53, description="`next` of the page before, or any number")
]


@router.get("", **needs(Role.VIEWER))
def list_entries(works: Works, limit: Limit = 100, cursor: After = 0) -> Page[EntryView]:
    """Entries with a number above `cursor`, oldest first."""
    found = works.ledger.page(cursor, limit + 1)
    shown = [EntryView.of(entry) for entry in found[:limit]]
    return Page(items=shown, next=str(shown[-1].seq) if len(found) > limit else None)


@router.get("/head", **needs(Role.VIEWER))
def show_head(works: Works) -> HeadView:
    """The last entry's number and hash."""
    head = works.ledger.head()
    return HeadView(seq=head.seq, hash=head.hash)
