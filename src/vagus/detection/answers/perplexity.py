"""How surprised a model is by fixed texts: the plainest sign that its weights have changed.

For a text, the mean of ``-log p`` over its tokens, each predicted from those before it (nats a
token). It needs one healthy value a text, the *centre*, and then some more of healthy rounds. What
is judged is how far above its centre a text is, less what another CPU, batch or quantised kernel
would do anyway; this excess is ranked among all healthy ones and all that came after. For ranks to
be uniform the texts have to be asked at random, in healthy rounds as well as later: then every
excess is drawn alike, and a text that is noisier than others does no harm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from vagus.detection.answers.evidence import KAPPAS, RUN_LENGTH, Ranks, Wealth, on_p_value
from vagus.errors import MalformedData

TOLERANCE = 0.02
"""Nats a token that are nothing: 2 % of perplexity. Kernels differ by less, regressions by more."""
LEAST = 20


class Perplexity:
    """``centres``: text -> its healthy nats a token; ``healthy``: (text, nats) of later rounds.

    Raises MalformedData if these are too few or not numbers.
    """

    def __init__(
        self,
        centres: Mapping[str, float],
        healthy: Iterable[tuple[str, float]],
        *,
        run_length: float = RUN_LENGTH,
        seed: int = 0,
    ) -> None:
        if not all(math.isfinite(nats) for nats in centres.values()):
            raise MalformedData("a centre of canary perplexity is not a number")
        self._centres = dict(centres)
        self._chance = np.random.default_rng(seed)
        self._ranks = Ranks([self.excess(text, nats) for text, nats in healthy])
        if len(self._ranks) < LEAST:
            raise MalformedData(
                f"{len(self._ranks)} healthy values of canary perplexity",
                mend=f"measure at least {LEAST}",
            )
        self.wealth = Wealth(run_length, len(KAPPAS))

    def observe(self, text: str, nats: float) -> bool:
        """One more value; whether there is an alarm. Raises MalformedData if it is none."""
        excess = self.excess(text, nats)
        p = self._ranks.rank(excess, 1.0 - float(self._chance.random()))
        # What is nothing is no evidence: chance among healthy values alone must not add up.
        return self.wealth.add(on_p_value(p if excess > 0.0 else 1.0))

    def excess(self, text: str, nats: float) -> float:
        """Nats a token above the centre and the tolerance; 0 if it is not above."""
        if text not in self._centres:
            raise MalformedData("a canary text that has no healthy value", where=text[:40])
        if not math.isfinite(nats):
            raise MalformedData(f"a perplexity of {nats}", where=text[:40])
        return max(nats - self._centres[text] - TOLERANCE, 0.0)
