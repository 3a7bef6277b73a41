"""The numbers of the baselines, in one place, each with its reason.

They say how fast to learn and how much to believe, never what is too much: that follows from the
false-alarm budget alone. They are handed to the compiled kernels as arguments, not read by them as
globals, so that a cached kernel can't go on with a number that has been changed.
"""

from __future__ import annotations

from typing import NamedTuple

DAY_SLOTS, WEEK_SLOTS = 24, 168
DEMAND_BINS = 12
"""Half octaves around a series' usual demand: an eighth of it up to six times as much."""
SCORE_BINS = 32
"""Four an octave, from an eighth of the usual deviation to 32 times as much."""
SEEN_WORDS = 8
"""64 places each in which a value may have been seen, on a logarithmic scale both ways."""
DISTANCE_BINS = 16
CHANNELS = 3
"""Of novelty: the value, its smoothed level, its volatility."""

HOUR_S, DAY_S, WEEK_S = 3600.0, 86400.0, 604800.0


class Tuning(NamedTuple):
    """How fast to learn, and how much to believe. All rates are per tick unless they say so."""

    level_rate: float = 0.01
    """A hundred ticks: slower than anything worth an alarm, faster than a day."""
    scale_rate: float = 0.01
    whiten_rate: float = 0.005
    whiten_most: float = 0.98
    """A series that remembers more than this is a walk; then its steps are what is judged."""
    clip: float = 4.0
    """Deviations teach as if they were at most this many times the usual one."""
    day_rate: float = 0.12
    """Share of a slot that one more day replaces; the first days teach more."""
    week_rate: float = 0.2
    demand_rate: float = 0.02
    demand_known: float = 32.0
    """Ticks at a demand after which it is known what it does to the series."""
    memory: float = 4096.0
    """Deviations that are remembered; then half of each bin is forgotten."""
    least: float = 32.0
    """Deviations without which none is judged."""
    kappa: float = 0.35
    """The bet: evidence is kappa * p ** (kappa - 1), whose mean is 1 for any uniform p. A small one
    bets on rare large deviations, a large one on many small ones."""
    novelty_warm: float = 100.0
    """Values from which the scale of what is seen is taken."""
    novelty_level_rate: float = 0.05
    novelty_volatility_rate: float = 0.05
    hold_off: float = 64.0
    """Half of the time in which only a greater novelty than the last one is told again."""
    absent_prior: float = 20.0
    """Values assumed to have come, and a gap to have ended as often as not, before any was seen."""


TUNING = Tuning()
