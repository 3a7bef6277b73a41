"""What all shapes have in common."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

T = TypeVar("T")

# A reason ends up in terminals: no control characters, so no escape sequences.
Reason = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"
    ),
]


class View(BaseModel):
    model_config = ConfigDict(frozen=True)


class Body(BaseModel):
    """What is sent: what is not known is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(View, Generic[T]):
    """Some of many. ``next`` is given as ``cursor`` for those that follow; null: these were all."""

    items: list[T]
    next: str | None = Field(None, description="cursor of the next page; null if there is none")
