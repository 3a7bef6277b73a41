"""Entries of the ledger, and its head."""

from __future__ import annotations

from pydantic import Field, JsonValue

from vagus.api.views.basics import View
from vagus.narrative import narrate
from vagus.state.ledger import Entry
from vagus.state.records import encode


class EntryView(View):
    seq: int
    at: float
    workflow: str
    step: str
    event: str
    facts: dict[str, JsonValue]
    sentence: str
    previous: str = Field(description="the hash of the entry before it")
    hash: str

    @classmethod
    def of(cls, entry: Entry) -> EntryView:
        facts = encode(entry.facts)
        assert isinstance(facts, dict)
        return cls(
            seq=entry.seq,
            at=entry.at,
            workflow=entry.workflow,
            step=entry.step,
            event=entry.event,
            facts=facts,
            sentence=narrate(entry.event, entry.facts).text,
            previous=entry.previous,
            hash=entry.hash,
        )


class HeadView(View):
    """The last entry: kept elsewhere, it proves that nothing before it was changed or cut off."""

    seq: int
    hash: str
