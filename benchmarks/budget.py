"""Does ``false_alarms: N per period`` hold? Streams in which nothing is wrong, and what is found.

For each kind of stream and size of fleet the budget is chosen so that 25 false alarms are allowed
in the run. What is printed is how many came, the interval in which their true mean lies (95 %,
Poisson), and whether the lower end exceeds the budget: then the benchmark fails. The figure
``false_alarm_interval_ratio_min`` is the upper end of the mean time between false alarms, as
measured, over the time that was asked for, on the worst stream: 1 or more is kept.

At the threshold of that budget it is then tried how many ticks pass until a change is found.

One alarm in a week over 100,000 series at 1 s can't be waited for: it is an extrapolation, by the
same bound, from what is measured here.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import Options, Result, Row
from vagus.detection.baseline import Budget, Fleet
from vagus.detection.baseline.budget import poisson_interval

Floats = NDArray[np.float64]
Stream = Iterator[tuple[Floats, Floats | None]]

TICK_S = 60.0
ALLOWED = 25.0
SIZES = {100: 20_000, 10_000: 1_000, 100_000: 200}
QUICK_SIZES = {100: 3_000, 10_000: 150}
WARM = 1_000
"""Ticks that a fleet has seen before it is tried with changes."""
TRIED = 300
GIVE_UP = 300
SEED = 11

COLUMNS = {
    "stream": "stream",
    "series": "series",
    "ticks": "ticks",
    "needed": "nats needed",
    "allowed": "allowed",
    "came": "came",
    "interval": "95 % interval",
    "holds": "holds",
    "delay": "delay, ticks",
    "found": "found",
}


def run(options: Options) -> Result:
    """Broken if a stream has more false alarms than its budget, beyond chance."""
    rows: list[Row] = []
    ratios: list[float] = []
    sizes = QUICK_SIZES if options.quick else SIZES
    for series, ticks in sizes.items():
        for name, stream in STREAMS.items():
            if options.wants(name):
                options.say(f"{name}, {series:,} series")
                came, needed = _false_alarms(stream, series, ticks)
                low, high = poisson_interval(came)
                ratios.append(ALLOWED / low if low > 0 else math.inf)
                rows.append(
                    {
                        "stream": name,
                        "series": series,
                        "ticks": ticks,
                        "needed": needed,
                        "allowed": ALLOWED,
                        "came": came,
                        "interval": f"{low:.1f} .. {high:.1f}",
                        "holds": "yes" if low <= ALLOWED else "NO",
                    }
                )
    delays = _delays(options)
    rows.extend(delays)
    figures = {}
    if finite := [ratio for ratio in ratios if math.isfinite(ratio)]:
        figures["false_alarm_interval_ratio_min"] = min(finite)
    for row in delays:
        if row["stream"] == "step of 8 sigma" and isinstance(row["delay"], float):
            figures["delay_ticks_8sigma_median"] = row["delay"]
    broken = [f"{row['stream']} at {row['series']}" for row in rows if row.get("holds") == "NO"]
    why = f"more false alarms than the budget allows: {', '.join(broken)}" if broken else ""
    notes = [*_notes(), why] if why else _notes()
    return Result("budget", COLUMNS, rows, figures, notes, broken=why)


def _notes() -> list[str]:
    return [
        f"false alarms are counted as alarms that open, from the first tick on; ticks of "
        f"{TICK_S:g} s, siblings in groups of four",
        "one a week over a large fleet is an extrapolation: the same bound at a higher threshold",
        f"delays: at the budget of the smallest fleet, {TRIED} changes after {WARM} quiet ticks, "
        "each in one series without siblings; the median, and the share found within "
        f"{GIVE_UP} ticks",
    ]


# --- streams in which nothing is wrong -----------------------------------------------------------


def _independent(series: int, random: np.random.Generator) -> Stream:
    while True:
        yield random.standard_normal(series), None


def _autoregressive(phi: float) -> Callable[[int, np.random.Generator], Stream]:
    def stream(series: int, random: np.random.Generator) -> Stream:
        x = random.standard_normal(series) / math.sqrt(1 - phi * phi)
        while True:
            x = phi * x + random.standard_normal(series)
            yield x, None

    return stream


def _heavy(series: int, random: np.random.Generator) -> Stream:
    while True:
        yield random.standard_t(3, series), None


def _daily(series: int, random: np.random.Generator) -> Stream:
    phase = random.random(series) * 86400.0
    tick = 0
    while True:
        swing = 3.0 * np.sin(2 * np.pi * (tick * TICK_S + phase) / 86400.0)
        yield swing + random.standard_normal(series), None
        tick += 1


def _driven(series: int, random: np.random.Generator) -> Stream:
    """Latency of a queue (1 / (1 - load)) under a load that wanders over 20 ticks."""
    wander = np.zeros(series)
    while True:
        wander = 0.95 * wander + 0.14 * random.standard_normal(series)
        load = np.minimum(0.3 * np.exp(wander), 0.9)
        yield np.exp(0.1 * random.standard_normal(series)) / (1.0 - load), 100.0 * load


STREAMS: Mapping[str, Callable[[int, np.random.Generator], Stream]] = {
    "independent": _independent,
    "AR(.7)": _autoregressive(0.7),
    "AR(.9)": _autoregressive(0.9),
    "heavy tails (t3)": _heavy,
    "daily season": _daily,
    "driven by demand": _driven,
}


def _names(series: int) -> list[str]:
    return [str(number) for number in range(series)]


def _false_alarms(
    stream: Callable[[int, np.random.Generator], Stream], series: int, ticks: int
) -> tuple[int, float]:
    """How many came, and the evidence that an alarm needed."""
    fleet = Fleet(TICK_S, Budget(ALLOWED, ticks * TICK_S), seed=SEED)
    fleet.add(_names(series), group=(np.arange(series) // 4).tolist())
    values = stream(series, np.random.default_rng(SEED))
    for _, (x, demand) in zip(range(ticks), values, strict=False):
        fleet.update(x, demand=demand)
    return fleet.tally.alarms, fleet.thresholds[0]


# --- changes that should be found ----------------------------------------------------------------

CHANGES: Mapping[str, Callable[[int, Floats], Floats]] = {
    "step of 4 sigma": lambda tick, noise: noise + 4.0,
    "step of 6 sigma": lambda tick, noise: noise + 6.0,
    "step of 8 sigma": lambda tick, noise: noise + 8.0,
    "ramp of .2 sigma a tick": lambda tick, noise: noise + 0.2 * tick,
    "three times the noise": lambda tick, noise: noise * 3.0,
}


def _delays(options: Options) -> list[Row]:
    rows: list[Row] = []
    ticks = SIZES[100]
    tried = TRIED // 6 if options.quick else TRIED
    for name, change in CHANGES.items():
        if not options.wants(name):
            continue
        options.say(name)
        random = np.random.default_rng(SEED)
        # All series change at once, so only each one's own evidence may count: the budget is that
        # of 100 series, and alarms by number are looked past.
        fleet = Fleet(TICK_S, Budget(ALLOWED * tried / 100, ticks * TICK_S), seed=SEED)
        fleet.add(_names(tried))
        for _ in range(WARM):
            fleet.update(random.standard_normal(tried))
        found = np.zeros(tried, dtype=int)
        for tick in range(1, GIVE_UP + 1):
            scores = fleet.update(change(tick, random.standard_normal(tried)))
            alone = scores.evidence >= fleet.thresholds[0]
            found[alone & (found == 0)] = tick
        when = found[found > 0].tolist()
        rows.append(
            {
                "stream": name,
                "series": tried,
                "needed": fleet.thresholds[0],
                "delay": float(statistics.median(when)) if when else None,
                "found": f"{len(when) / tried:.0%}",
            }
        )
    return rows
