"""Text alone: are these completions drawn from what the model used to say?

Some prompts, of each some completions by the healthy model at its usual temperature, and then a few
more at a time. Two completions are as alike as the share of places at which they have the same
character (a Hamming kernel; Gao, Liang and Guestrin, *Model equality testing*, 2025), and the
maximum mean discrepancy of new from old under this kernel, summed over prompts, is what is tested:
how rarely does a random choice among all completions of a prompt look as strange as the new ones?

Each batch is tested against all before, the healthy ones and those that passed since. Given which
completions there are, chance alone says which are the new ones, so p-values of successive batches
are uniform and independent, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vagus.detection.answers.evidence import KAPPAS, RUN_LENGTH, Floats, Wealth, on_p_value
from vagus.errors import MalformedData

LENGTH = 200
"""Characters that are compared; a shorter completion is padded."""
LEAST = 5
"""Healthy completions of each prompt."""
MOST = 100
"""Kept of each prompt. Batches after that are tested against what is kept and not added: exact no
more, by what a hundred completions don't tell of a model."""
PERMUTATIONS = 999


class Completions:
    """``healthy``: prompt -> completions. Raises MalformedData if there are too few."""

    def __init__(
        self,
        healthy: Mapping[str, Sequence[str]],
        *,
        run_length: float = RUN_LENGTH,
        seed: int = 0,
    ) -> None:
        if not healthy or min(map(len, healthy.values())) < LEAST:
            raise MalformedData(
                "too few healthy completions", mend=f"take at least {LEAST} of each prompt"
            )
        self._held = {prompt: list(texts) for prompt, texts in healthy.items()}
        self._chance = np.random.default_rng(seed)
        self.wealth = Wealth(run_length, len(KAPPAS))

    def observe(self, batch: Mapping[str, Sequence[str]]) -> bool:
        """New completions of some prompts; whether there is an alarm.

        Raises MalformedData for a prompt without healthy completions.
        """
        if unknown := [prompt for prompt in batch if prompt not in self._held]:
            raise MalformedData("a prompt without healthy completions", where=unknown[0][:40])
        given = {prompt: list(texts) for prompt, texts in batch.items() if texts}
        if not given:
            return False
        strange = np.zeros(PERMUTATIONS + 1)
        for prompt, texts in given.items():
            kernel = hamming(self._held[prompt] + texts)
            strange += discrepancies(kernel, len(texts), self._chance)
        p = _randomised(strange, 1.0 - float(self._chance.random()))
        for prompt, texts in given.items():
            room = MOST - len(self._held[prompt])
            self._held[prompt].extend(texts[:room] if room > 0 else [])
        return self.wealth.add(on_p_value(p))


def hamming(texts: Sequence[str]) -> Floats:
    """(n, n): the share of places with the same character, 0 on the diagonal."""
    padded = np.array([[ord(c) for c in text[:LENGTH].ljust(LENGTH, "\0")] for text in texts])
    kernel = np.empty((len(texts), len(texts)))
    for row, text in enumerate(padded):
        kernel[row] = (padded == text).mean(axis=1)
    np.fill_diagonal(kernel, 0.0)
    return kernel


def discrepancies(kernel: Floats, new: int, random: np.random.Generator) -> Floats:
    """MMD squared of the last ``new`` from the rest, and then that of random choices."""
    count = len(kernel)
    chosen = np.zeros((PERMUTATIONS + 1, count))
    chosen[0, count - new :] = 1.0
    order = np.argsort(random.random((PERMUTATIONS, count)), axis=1)[:, :new]
    np.put_along_axis(chosen[1:], order, 1.0, axis=1)
    rest, old = 1.0 - chosen, count - new
    within = ((chosen @ kernel) * chosen).sum(axis=1) / max(new * (new - 1), 1)
    among = ((rest @ kernel) * rest).sum(axis=1) / (old * (old - 1))
    between = ((chosen @ kernel) * rest).sum(axis=1) / (new * old)
    result: Floats = within + among - 2.0 * between
    return result


def _randomised(strange: Floats, chance: float) -> float:
    """How rare the first is among all, equals (it is one) ordered by chance."""
    rounded = np.round(strange, 12)
    above = int((rounded > rounded[0]).sum())
    equal = int((rounded == rounded[0]).sum())
    return (above + chance * equal) / len(strange)
