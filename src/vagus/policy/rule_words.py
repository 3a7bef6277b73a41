"""Words in a condition that a fact can never be.

``action == 'restrat'`` compiles: both are text. A rule that denies it would then never deny
anything, and nobody would notice. Where all that a fact can be is known beforehand, a literal that
it is compared with must be one of them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping

from vagus.policy.cel import BadCondition

_TEXT = r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*\""""
_COMPARED = re.compile(
    rf"(?<![\w.])(?P<fact>\w+)\s*(?:==|!=)\s*(?P<right>{_TEXT})"
    rf"|(?P<left>{_TEXT})\s*(?:==|!=)\s*(?P<fact_after>\w+)(?![\w.(])"
    rf"|(?<![\w.])(?P<fact_in>\w+)\s+in\s+\[(?P<list>[^\]]*)\]"
)


def check_words(condition: str, words: Mapping[str, Collection[str]]) -> None:
    """Raises :class:`~vagus.policy.cel.BadCondition` for a literal that is none of its fact's
    ``words``. Facts without words may be anything."""
    for fact, word, offset in _comparisons(condition):
        known = words.get(fact, ())
        if known and word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            mend = f"did you mean {near[0]!r}?" if near else f"it is one of {', '.join(known)}"
            raise BadCondition(f"{fact} is never {word!r}", offset=offset, mend=mend)


def _comparisons(condition: str) -> Iterator[tuple[str, str, int]]:
    """Each fact with a literal that it is compared with, and where that stands."""
    for found in _COMPARED.finditer(condition):
        if found["fact"]:
            yield found["fact"], found["right"][1:-1], found.start("right")
        elif found["left"]:
            yield found["fact_after"], found["left"][1:-1], found.start("left")
        else:
            for word in re.finditer(_TEXT, found["list"]):
                yield found["fact_in"], word[0][1:-1], found.start("list") + word.start()
