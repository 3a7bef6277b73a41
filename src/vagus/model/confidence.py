"""How much of a success rate is proven by so many trials.

The bound is Clopper and Pearson's (1934), one-sided: the rate below which so many successes would
come about with a probability of at most 5 %. It is exact, which is why it was chosen. Wilson's
score, the usual recommendation, is right on average over all rates, and not where a remedy's record
lies: a true rate of 83.9 % shows 14 of 14 once in twelve times, and Wilson calls it refuted
(bound .838). Clopper and Pearson say .807 there, and 29 of 29 prove .902. A bound that decides who
may act alone must not promise more than it keeps.

With every trial a success there is a closed form, ``.05 ** (1 / n)``; otherwise the rate at which
the tail of the binomial distribution weighs 5 % is found by bisection.
"""

from __future__ import annotations

import math
from functools import lru_cache

DOUBT = 0.05  # the probability that is left for the rate to be below the bound
_HALVINGS = 50  # to the last bits of a rate between 0 and 1


@lru_cache(maxsize=4096)
def lower_bound(successes: int, trials: int) -> float:
    """The rate of success that ``trials`` prove with 95 % confidence; 0 without a success.

    Raises ValueError unless ``0 <= successes <= trials``.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials")
    if successes == 0:
        return 0.0
    if successes == trials:
        return float(DOUBT ** (1 / trials))
    low, high = 0.0, successes / trials
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _at_least(successes, trials, middle) > DOUBT:
            high = middle
        else:
            low = middle
    return low


def _at_least(successes: int, trials: int, rate: float) -> float:
    """The probability of ``successes`` or more in ``trials`` at this ``rate``, in (0, 1)."""
    hit, miss = math.log(rate), math.log1p(-rate)
    whole = math.lgamma(trials + 1)
    return math.fsum(
        math.exp(
            whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * hit + (trials - k) * miss
        )
        for k in range(successes, trials + 1)
    )
