"""Golden queries in turn, each embedded at the moment at which it is asked.

Embedding them once would be cheaper and would hide what they are for: that the server which embeds
queries today is another one than that which embedded the documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from vagus.model import Query, Subject
from vagus.ports import Embedder

Known = Callable[[Subject], Sequence[tuple[str, tuple[str, ...]]]]
"""The golden queries of a collection, as they are now: text, and the expected documents."""


class GoldenQueries:
    """``embedders``: of a store's component, which one embeds for it, and who asks that one."""

    def __init__(self, known: Known, embedders: Mapping[str, tuple[str, Embedder]]) -> None:
        self._known = known
        self._embedders = embedders
        self._asked: Counter[Subject] = Counter()

    async def next(self, subject: Subject) -> Query | None:
        """None: there are none, or nobody embeds at the moment."""
        embedder = self._embedders.get(subject.component)
        known = self._known(subject)
        if embedder is None or not known:
            return None
        self._asked[subject] += 1
        text, expected = known[self._asked[subject] % len(known)]
        component, asking = embedder
        vector = await asking.embed(component, text)
        return None if vector is None else Query(text, vector, "golden", expected)
